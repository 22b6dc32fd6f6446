"""The tree as a list of layers: what `smidgen show` prints, and the names of all tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from smidgen.graph.cost import output_shape
from smidgen.graph.leaves import leaf_cost, leaf_tensors
from smidgen.graph.nodes import (
    Chain,
    Combinator,
    Concat,
    Conv,
    Flatten,
    Gate,
    GlobalPool,
    Leaf,
    Node,
    Pool,
    Shift,
    Sum,
)
from smidgen.spec import Shape

__all__ = ["Layer", "Tensor", "layers", "leaves", "parameters", "tensors", "trunk_end"]


class Layer(NamedTuple):
    """One leaf in place.

    path             dotted name, as in the state dict
    in_shape, out    shapes of one sample
    receptive_field  pixels of the input, (height, width), between the outermost that one output value
                     looks at, padding included; what passes a gate does not see more by it
    stride           input pixels between neighbours of the output
    gated            inside a gate, beside the trunk
    """

    path: str
    node: Leaf
    in_shape: Shape
    out: Shape
    params: int
    buffers: int
    macs: int
    elementwise: int
    receptive_field: tuple[int, int]
    stride: int
    gated: bool = False

    @property
    def activation_bytes(self) -> int:
        """Size of the output, fp32."""
        return 4 * self.out.numel


class Tensor(NamedTuple):
    """One tensor of the state dict."""

    name: str
    shape: tuple[int, ...]
    trained: bool


class _View(NamedTuple):
    """First and last row and column of the input that the first value of a map sees."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    stride: int = 1

    @property
    def field(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top + 1, self.right - self.left + 1

    def through(self, rows: tuple[int, int], columns: tuple[int, int], stride: int = 1) -> _View:
        """View of a value that looks at these rows and columns, first to last, of this map."""
        return _View(
            self.top + rows[0] * self.stride,
            self.bottom + rows[1] * self.stride,
            self.left + columns[0] * self.stride,
            self.right + columns[1] * self.stride,
            self.stride * stride,
        )


def layers(tree: Node, x: Shape) -> list[Layer]:
    """Leaves of `tree` in the order they run, each with its shapes and costs on input shape `x`."""
    rows: list[Layer] = []
    _walk(tree, "", x, _View(), rows)
    return rows


def leaves(tree: Node, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf with its dotted path, in order."""
    if not isinstance(tree, Combinator):
        yield path, tree
        return
    for name, child in tree.children:
        yield from leaves(child, join(path, name))


def tensors(tree: Node) -> Iterator[Tensor]:
    """All tensors of the state dict, in its order."""
    for path, leaf in leaves(tree):
        for name, shape, trained in leaf_tensors(leaf):
            yield Tensor(join(path, name), shape, trained)


def parameters(tree: Node) -> list[tuple[str, tuple[int, ...]]]:
    """Trainable tensors, name and shape, in state-dict order."""
    return [(tensor.name, tensor.shape) for tensor in tensors(tree) if tensor.trained]


def trunk_end(tree: Node, x: Shape) -> Shape:
    """Shape of the last map before the global pool (gates aside), or the output without one."""
    match tree:
        case Chain(children=children):
            for _, child in children:
                if isinstance(child, GlobalPool):
                    return x
                end = trunk_end(child, x) if _has_pool(child) else None
                if end is not None:
                    return end
                x = output_shape(child, x)
            return x
        case _:
            return output_shape(tree, x)


def join(path: str, name: str) -> str:
    """Dotted path of a child; the name "" adds no level."""
    return f"{path}.{name}" if path and name else path or name


def _has_pool(node: Node) -> bool:
    """Whether the trunk of `node` ends in a global pool."""
    if isinstance(node, Chain):
        return any(_has_pool(child) for _, child in node.children)
    return isinstance(node, GlobalPool)


def _walk(node: Node, path: str, x: Shape, view: _View, rows: list[Layer]) -> tuple[Shape, _View]:
    match node:
        case Chain(children=children):
            for name, child in children:
                x, view = _walk(child, join(path, name), x, view, rows)
            return x, view
        case Gate(children=children):
            inside: list[Layer] = []
            _walk(Chain(children), path, x, view, inside)
            rows += [row._replace(gated=True) for row in inside]
            return x, view
        case Sum(children=children):
            ends = [_walk(child, join(path, name), x, view, rows) for name, child in children]
            return ends[0][0], _union([end for _, end in ends])
        case Concat(children=children):
            ends = [_walk(child, join(path, name), x, view, rows) for name, child in children]
            channels = sum(out.channels for out, _ in ends)
            return ends[0][0]._replace(channels=channels), _union([end for _, end in ends])
        case _:
            cost, view = leaf_cost(node, x), _look(node, x, view)
            rows.append(Layer(path, node, x, *cost, view.field, view.stride))
            return cost.out, view


def _union(views: list[_View]) -> _View:
    return _View(
        min(view.top for view in views),
        max(view.bottom for view in views),
        min(view.left for view in views),
        max(view.right for view in views),
        views[0].stride,
    )


def _look(leaf: Leaf, x: Shape, view: _View) -> _View:
    """View through one more leaf, whose input is `x`."""
    match leaf:
        case Conv(kernel=kernel, stride=stride, dilation=dilation):
            reach = dilation * (kernel - 1)
            top, left = _padding_before(leaf, 0, x.height), _padding_before(leaf, 1, x.width)
            return view.through((-top, reach - top), (-left, reach - left), stride)
        case Pool(kernel=kernel, stride=stride, padding=padding):
            window = (-padding, kernel - 1 - padding)
            return view.through(window, window, stride)
        case Shift(runs=runs):
            rows, columns = [dy for _, dy, _ in runs], [dx for _, _, dx in runs]
            return view.through((min(rows), max(rows)), (min(columns), max(columns)))
        case GlobalPool() | Flatten():
            return view.through((0, x.height - 1), (0, x.width - 1))
        case _:
            return view


def _padding_before(conv: Conv, axis: int, size: int) -> int:
    """Rows (axis 0) above or columns (axis 1) left of a map of this size."""
    if conv.padding != "same":
        return conv.padding[axis][0]
    covered = (-(-size // conv.stride) - 1) * conv.stride + conv.dilation * (conv.kernel - 1) + 1
    return max(0, covered - size) // 2
