"""The tree as a list of operations on numbered values, each written once."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from smidgen.graph import nodes
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_cost
from smidgen.program.weights import is_depthwise
from smidgen.spec import ModelFileError, Shape, ShapeError

__all__ = ["LARGEST_MAP", "Line", "Listing", "Operation"]

# Beyond these, what a file asks for is an attack or a mistake; the kernels count in 64 bits, places in 32.
LARGEST_MAP = 2**30  # numbers: 4 GiB
LARGEST_WINDOW = 4096  # pixels from the first to the last that a kernel looks at
LARGEST_WEIGHT = 2**27  # numbers of a convolution whose groups are filled up with zeros
MOST_WORK = 10**14  # operations for one picture: over a hundred times what the largest published network does

Operation: TypeAlias = nodes.Leaf | Literal["add", "multiply", "concat"]


class Line(NamedTuple):
    """One operation, of the layer `name`: what it does, on which values, and the value that it gives."""

    name: str
    what: Operation
    inputs: tuple[int, ...]
    output: int


class Listing:
    """Operations in order, and the shape of every value; the first value is the input."""

    def __init__(self, x: Shape) -> None:
        self.lines: list[Line] = []
        self.shapes = [x]
        self._work = 0
        if x.numel > LARGEST_MAP:
            raise ShapeError(f"an input of {x} is too large")

    def append(self, name: str, what: Operation, inputs: tuple[int, ...], shape: Shape) -> int:
        """List an operation that gives a value of this shape; returns the value's number."""
        if shape.numel > LARGEST_MAP:
            raise ShapeError(
                f"{name or 'the network'} makes a map of {shape} from {self.shapes[0]}: too large"
            )
        self.shapes.append(Shape(*shape[:3]))
        self.lines.append(Line(name, what, inputs, len(self.shapes) - 1))
        return len(self.shapes) - 1

    def visit(self, node: nodes.Node, name: str, value: int, x: Shape) -> tuple[int, Shape]:
        """List `node` on a value of shape `x`; returns the value that it gives, and its shape."""
        match node:
            case nodes.Chain(children=children):
                return self._chain(children, name, value, x)
            case nodes.Sum(children=children):
                found = [self.visit(child, join(name, own), value, x) for own, child in children]
                total, shape = found[0]
                for other, other_shape in found[1:]:
                    if other_shape != shape:
                        raise ShapeError(f"a Sum needs branches of one shape, not {shape} and {other_shape}")
                    total = self.append(name, "add", (total, other), shape)
                return total, shape
            case nodes.Gate(children=children):
                factor, _ = self._chain(children, name, value, x)
                return self.append(name, "multiply", (value, factor), x), x
            case nodes.Concat(children=children):
                found = [self.visit(child, join(name, own), value, x) for own, child in children]
                if len({shape[1:] for _, shape in found}) != 1:
                    raise ShapeError(f"a Concat needs maps of one size, not {found[0][1]} and {found[-1][1]}")
                result = Shape(sum(shape.channels for _, shape in found), *found[0][1][1:])
                return self.append(name, "concat", tuple(value for value, _ in found), result), result
            case _:
                return self._leaf(node, name, value, x)

    def _chain(self, children: nodes.Children, name: str, value: int, x: Shape) -> tuple[int, Shape]:
        for own, child in children:
            value, x = self.visit(child, join(name, own), value, x)
        return value, x

    def _leaf(self, leaf: nodes.Leaf, name: str, value: int, x: Shape) -> tuple[int, Shape]:
        out, _, _, macs, elementwise = leaf_cost(leaf, x)
        _require_sensible(leaf, name, x)
        self._work += macs + elementwise
        if self._work > MOST_WORK:
            raise ShapeError(f"one picture of {self.shapes[0]} takes more than {MOST_WORK:.0e} operations")
        idle = isinstance(leaf, nodes.Dropout) or (
            isinstance(leaf, nodes.Flatten) and x.height * x.width == 1
        )
        return (value, out) if idle else (self.append(name, leaf, (value,), out), out)


def _require_sensible(leaf: nodes.Leaf, name: str, x: Shape) -> None:
    """Refuse kernels, padding and groups beyond what the native kernels are made for."""
    if isinstance(leaf, nodes.Conv | nodes.Pool):
        reach = (leaf.kernel - 1) * (leaf.dilation if isinstance(leaf, nodes.Conv) else 1) + 1
        if reach > LARGEST_WINDOW:
            raise ModelFileError(
                f"{name}: a window of {reach:,} pixels; at most {LARGEST_WINDOW:,} can be done"
            )
    if not isinstance(leaf, nodes.Conv):
        return
    if leaf.padding != "same":
        (top, bottom), (left, right) = leaf.padding
        if x.channels * (x.height + top + bottom) * (x.width + left + right) > LARGEST_MAP:
            raise ModelFileError(f"{name}: the padding makes too large a map of {x}")
    if leaf.groups > 1 and not is_depthwise(leaf):
        full = leaf.c_out * leaf.c_in * leaf.kernel**2
        if full > LARGEST_WEIGHT:
            raise ModelFileError(
                f"{name}: {leaf.groups:,} groups of {leaf.c_in:,} channels; done as one, they take {full:,} "
                f"weights, above the limit of {LARGEST_WEIGHT:,}"
            )
