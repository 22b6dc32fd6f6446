"""From tree and weights to the fused plan.

First the tree becomes a list of operations on numbered values, each written once. Then every operation joins
a step that is there, or becomes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import nodes
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_cost
from smidgen.program.program import (
    Affine,
    After,
    Array,
    Conv,
    Depthwise,
    Mean,
    Plan,
    Pointwise,
    Pooling,
    Step,
    Transpose,
    View,
    views_read,
)
from smidgen.spec import ModelFileError, Shape, ShapeError

__all__ = ["Weights", "lower"]

# Beyond these, what a file asks for is an attack or a mistake; the kernels count in 64 bits, places in 32.
LARGEST_MAP = 2**30  # numbers: 4 GiB
LARGEST_WINDOW = 4096  # pixels from the first to the last that a kernel looks at
LARGEST_WEIGHT = 2**27  # numbers of a convolution whose groups are filled up with zeros
MOST_WORK = 10**14  # operations for one picture: over a hundred times what the largest published network does


class Weights:
    """Weights of a network by state-dict name, with what the BatchNorm behind a convolution makes of them.

    The norms are computed in float64.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors
        self._found: dict[tuple[str, str], tuple[Array, Array | None, Array | None]] = {}

    def norm(self, name: str, leaf: nodes.BatchNorm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and offset of a BatchNorm at inference: float64[channels] each. Raises ModelFileError."""
        weight, bias, mean, variance = (
            self._tensors[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + leaf.eps)
        offset = bias - mean * scale
        if not np.isfinite(scale + offset).all():
            raise ModelFileError(f"{name}: statistics that make no numbers; its weights are damaged")
        return scale, offset

    def convolution(
        self, name: str, leaf: nodes.Conv | nodes.Linear, norm: tuple[str, nodes.BatchNorm] | None
    ) -> tuple[Array, Array | None, Array | None]:
        """Weight float32[c_out, c_in, k, k] without a copy where possible; scale and bias float32[c_out] or
        None, of the convolution with its norm.
        """
        key = (name, norm[0] if norm else "")
        if key not in self._found:
            weight = _four_axes(self._tensors[f"{name}.weight"].astype(np.float32, copy=False), leaf)
            scale, bias = None, self._tensors[f"{name}.bias"] if leaf.bias else None
            if norm:
                scale, offset = self.norm(*norm)
                bias = offset if bias is None else bias * scale + offset
            self._found[key] = (weight, _float32(scale), _float32(bias))
        return self._found[key]


def _float32(numbers: NDArray[Any] | None) -> Array | None:
    return None if numbers is None else numbers.astype(np.float32)


def _four_axes(weight: Array, leaf: nodes.Conv | nodes.Linear) -> Array:
    """A Linear as a 1x1 convolution; groups, other than one for each channel, as a block-diagonal weight."""
    if isinstance(leaf, nodes.Linear):
        return weight[:, :, None, None]
    if leaf.groups == 1 or _is_depthwise(leaf):
        return weight
    full = np.zeros((leaf.c_out, leaf.c_in, leaf.kernel, leaf.kernel), np.float32)
    outs, ins = leaf.c_out // leaf.groups, leaf.c_in // leaf.groups
    for group in range(leaf.groups):
        rows = slice(group * outs, (group + 1) * outs)
        full[rows, group * ins : (group + 1) * ins] = weight[rows]
    return full


def _is_depthwise(leaf: nodes.Conv) -> bool:
    return leaf.groups == leaf.c_in == leaf.c_out and leaf.groups > 1


def lower(tree: nodes.Node, x: Shape, weights: Weights) -> Plan:
    """The fused plan of `tree` for one picture of shape `x`.

    Raises   ShapeError where a node cannot take the shape that reaches it, ModelFileError where it asks for
             what nobody needs, or its weights make no numbers.
    """
    listing = _Listing(x)
    answer, shape = listing.visit(tree, "", 0, x)
    if shape.height * shape.width > 1:  # a map as the answer: in torch's order
        answer = listing.append("", nodes.Flatten(), (answer,), Shape(shape.numel))
    elif answer == 0:
        answer = listing.append("", nodes.Dropout(0.0), (answer,), shape)
    return _Fusing(listing, answer, weights).plan()


# ── the tree as a list of operations ─────────────────────────────────────────────────────────────────

Operation: TypeAlias = nodes.Leaf | Literal["add", "multiply", "concat"]


class _Line(NamedTuple):
    name: str
    what: Operation
    inputs: tuple[int, ...]
    output: int


class _Listing:
    """Operations in order, and the shape of every value; the first value is the input."""

    def __init__(self, x: Shape) -> None:
        self.lines: list[_Line] = []
        self.shapes = [x]
        self._work = 0
        if x.numel > LARGEST_MAP:
            raise ShapeError(f"an input of {x} is too large")

    def append(self, name: str, what: Operation, inputs: tuple[int, ...], shape: Shape) -> int:
        if shape.numel > LARGEST_MAP:
            raise ShapeError(
                f"{name or 'the network'} makes a map of {shape} from {self.shapes[0]}: too large"
            )
        self.shapes.append(Shape(*shape[:3]))
        self.lines.append(_Line(name, what, inputs, len(self.shapes) - 1))
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
    if leaf.groups > 1 and not _is_depthwise(leaf):
        full = leaf.c_out * leaf.c_in * leaf.kernel**2
        if full > LARGEST_WEIGHT:
            raise ModelFileError(
                f"{name}: {leaf.groups:,} groups of {leaf.c_in:,} channels; done as one, they take {full:,} "
                f"weights, above the limit of {LARGEST_WEIGHT:,}"
            )


# ── operations into steps ────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Draft:
    """A step that later operations may still join; its output is the last of them's.

    number  counts the steps in the order in which they were made, which is that in which they run
    base    the convolution or pool, None for an elementwise step
    norm    BatchNorm to fold into the convolution
    """

    number: int
    name: str
    x: int
    y: int
    base: nodes.Conv | nodes.Linear | nodes.Pool | Literal["mean", "transpose"] | None = None
    norm: tuple[str, nodes.BatchNorm] | None = None
    runs: tuple[tuple[int, int, int], ...] = ()
    affine: tuple[str, nodes.BatchNorm] | None = None
    before: nodes.ActivationKind | None = None
    factor: int | None = None
    activation: nodes.ActivationKind | None = None
    add: int | None = None
    then: nodes.ActivationKind | None = None
    mean: int | None = None

    @property
    def convolves(self) -> bool:
        return isinstance(self.base, nodes.Conv | nodes.Linear)

    @property
    def untouched(self) -> bool:
        """Whether nothing has been done yet to what it makes, so that a BatchNorm can be folded in."""
        done = (self.norm, self.activation, self.add, self.then, self.mean)
        return all(part is None for part in done) and (
            self.convolves or (self.affine is None and self.before is None and self.factor is None)
        )

    @property
    def depthwise(self) -> bool:
        return isinstance(self.base, nodes.Conv) and _is_depthwise(self.base)


class _Fusing:
    """Turns the listing into steps.

    Values that a Concat joins are written where they belong: `_inside` holds, for each, the joined value and
    the first channel in it. `_maker` has the step that a value's only reader may join, `_origin` the step
    after which the value is whole.
    """

    def __init__(self, listing: _Listing, answer: int, weights: Weights) -> None:
        self._listing, self._answer, self._weights = listing, answer, weights
        self._readers = Counter(value for line in listing.lines for value in line.inputs) + Counter([answer])
        self._drafts: list[_Draft] = []
        self._numbers = count()
        self._maker: dict[int, _Draft] = {}
        self._origin: dict[int, _Draft] = {}
        self._inside: dict[int, tuple[int, int]] = {}

    def plan(self) -> Plan:
        for line in self._listing.lines:
            self._take(line)
        self._copy_input()
        values = sorted({0, *(self._place(value)[0] for draft in self._drafts for value in _values(draft))})
        numbers = {value: number for number, value in enumerate(values)}
        shapes = tuple(self._listing.shapes[value] for value in values)
        steps = _expanding([self._step(draft, numbers) for draft in self._drafts])
        return Plan(steps, shapes, numbers[self._answer])

    def _copy_input(self) -> None:
        """The input comes with its channels apart; steps that cannot read it so get a copy in the arena."""
        copy = len(self._listing.shapes)
        for draft in self._drafts:
            if draft.x == 0 and (
                draft.depthwise or isinstance(draft.base, nodes.Pool) or draft.base == "mean"
            ):
                draft.x = copy
            draft.add = copy if draft.add == 0 else draft.add
            draft.factor = copy if draft.factor == 0 else draft.factor
        if any(copy in _values(draft) for draft in self._drafts):
            self._listing.shapes.append(self._listing.shapes[0])
            self._drafts.insert(0, _Draft(-1, "", 0, copy))

    def _take(self, line: _Line) -> None:
        what, x = line.what, line.inputs[0]
        match what:
            case "add":
                self._add(line)
            case "multiply":
                self._new(line, factor=line.inputs[1])
            case "concat":
                self._concat(line)
            case nodes.Conv() | nodes.Linear():
                self._convolution(line, what)
            case nodes.BatchNorm():
                self._norm(line, what)
            case nodes.Activation(kind=kind):
                self._activation(line, kind)
            case nodes.Shift(runs=runs):
                self._new(line, runs=runs)
            case nodes.Pool():
                self._new(line, base=what)
            case nodes.GlobalPool():
                maker = self._maker.get(x)
                if maker is not None and maker.depthwise and maker.mean is None:
                    maker.mean, self._origin[line.output] = line.output, maker
                else:
                    self._new(line, base="mean")
            case nodes.Flatten():
                self._new(line, base="transpose")
            case nodes.Dropout():
                self._new(line)
            case _:
                assert_never(what)

    def _new(self, line: _Line, **fields: Any) -> None:
        draft = _Draft(next(self._numbers), line.name, line.inputs[0], line.output, **fields)
        self._drafts.append(draft)
        self._maker[line.output] = self._origin[line.output] = draft

    def _only_reader(self, value: int) -> _Draft | None:
        """The step that makes a value which is read once: then its reader may join it."""
        return self._maker.get(value) if self._readers[value] == 1 else None

    def _join(self, draft: _Draft, line: _Line) -> None:
        draft.y = line.output
        self._maker[line.output] = self._origin[line.output] = draft

    def _convolution(self, line: _Line, leaf: nodes.Conv | nodes.Linear) -> None:
        self._new(line, base=leaf)
        draft, maker = self._drafts[-1], self._only_reader(line.inputs[0])
        pointwise = isinstance(leaf, nodes.Linear) or (
            leaf.kernel == 1 and leaf.padding in ("same", nodes.pad(0)) and not draft.depthwise
        )
        if maker is None or maker.base is not None or not pointwise or maker.add is not None or maker.then:
            return
        if maker.factor is not None and (
            maker.runs
            or maker.affine
            or maker.before
            or self._listing.shapes[maker.factor].numel > self._listing.shapes[maker.factor].channels
        ):
            return
        # What was to be done to the input alone is done while reading it.
        draft.x, draft.runs, draft.affine = maker.x, maker.runs, maker.affine
        draft.before, draft.factor = maker.before, maker.factor
        self._drafts.remove(maker)

    def _norm(self, line: _Line, leaf: nodes.BatchNorm) -> None:
        maker = self._only_reader(line.inputs[0])
        norm = (line.name, leaf)
        if maker is not None and maker.convolves and maker.untouched:
            maker.norm = norm
        elif maker is not None and maker.base is None and maker.untouched:
            maker.affine = norm
        else:
            self._new(line, affine=norm)
            return
        self._join(maker, line)

    def _activation(self, line: _Line, kind: nodes.ActivationKind) -> None:
        maker = self._only_reader(line.inputs[0])
        if maker is None or maker.then is not None or maker.mean is not None:
            self._new(line, before=kind)
            return
        elementwise = maker.base is None
        if maker.add is not None or (elementwise and maker.factor is not None):
            maker.then = kind
        elif maker.convolves and maker.activation is None:
            maker.activation = kind
        elif elementwise and maker.before is None:
            maker.before = kind
        else:
            self._new(line, before=kind)
            return
        self._join(maker, line)

    def _add(self, line: _Line) -> None:
        """The last of two steps adds what the other one has left, where it is a dense convolution."""
        earlier, later = sorted(line.inputs, key=self._age)
        maker = self._only_reader(later)
        if maker is not None and maker.convolves and not maker.depthwise and maker.add is None:
            maker.add = earlier
            self._join(maker, line)
        else:
            self._new(line._replace(inputs=(earlier, later)), add=later)

    def _age(self, value: int) -> int:
        """Number of the step after which the value is whole; -1 for the input."""
        origin = self._origin.get(value)
        return -1 if origin is None else origin.number

    def _concat(self, line: _Line) -> None:
        first = 0
        parts = []
        for value in line.inputs:
            channels = self._listing.shapes[value].channels
            if value == 0 or value in self._inside or line.inputs.count(value) > 1:
                copy = len(self._listing.shapes)
                self._listing.shapes.append(self._listing.shapes[value])
                self._new(_Line(line.name, "concat", (value,), copy))
                value = copy
            self._inside[value] = (line.output, first)
            first += channels
            parts.append(value)
        self._origin[line.output] = self._origin[max(parts, key=self._age)]

    def _place(self, value: int) -> tuple[int, int]:
        """The value that holds a value, and its first channel there."""
        first = 0
        while value in self._inside:
            value, offset = self._inside[value]
            first += offset
        return value, first

    def _step(self, draft: _Draft, numbers: dict[int, int]) -> Step:
        def view(value: int) -> View:
            root, first = self._place(value)
            return View(numbers[root], self._listing.shapes[value].channels, first)

        def maybe(value: int | None) -> View | None:
            return None if value is None else view(value)

        x, y, base = view(draft.x), view(draft.y), draft.base
        before = self._before(draft)
        match base:
            case None:
                return Pointwise(
                    draft.name, x, y, draft.runs, before, maybe(draft.factor), maybe(draft.add), draft.then
                )
            case "mean":
                return Mean(draft.name, x, y)
            case "transpose":
                return Transpose(draft.name, x, y)
            case nodes.Pool():
                return Pooling(draft.name, x, y, base)
            case nodes.Conv() | nodes.Linear():
                weight, scale, bias = self._weights.convolution(draft.name, base, draft.norm)
                if isinstance(base, nodes.Linear):
                    base = nodes.Conv(base.c_in, base.c_out)
                if draft.depthwise:
                    weight = weight if scale is None else weight * scale[:, None, None, None]
                    return Depthwise(
                        draft.name, x, y, base, weight, bias, draft.activation, maybe(draft.mean)
                    )
                after = After(draft.activation, maybe(draft.add), draft.then)
                gate = maybe(draft.factor)
                return Conv(draft.name, x, y, base, weight, scale, bias, draft.runs, before, gate, after)
            case _:
                assert_never(base)

    def _before(self, draft: _Draft) -> Affine | None:
        if draft.affine is None:
            return Affine(activation=draft.before) if draft.before else None
        scale, offset = self._weights.norm(*draft.affine)
        return Affine(scale.astype(np.float32), offset.astype(np.float32), draft.before)


def _expanding(steps: list[Step]) -> tuple[Step, ...]:
    """Join each depthwise convolution with the plain 1x1 convolution that only it reads."""
    readers = Counter(view.map for step in steps for view in views_read(step))
    makers = {step.y: step for step in steps if isinstance(step, Conv) and _is_plain(step)}
    joined: list[Step] = []
    for step in steps:
        if isinstance(step, Depthwise) and step.x in makers and readers[step.x.map] == 1:
            first = makers[step.x]
            joined.remove(first)
            joined.append(step._replace(first=first))
        else:
            joined.append(step)
    return tuple(joined)


def _is_plain(conv: Conv) -> bool:
    """Whether a convolution only mixes the channels of a pixel in the arena."""
    leaf = conv.leaf
    extras = (conv.before, conv.gate, conv.after.add, conv.after.then)
    return (
        (leaf.kernel, leaf.stride) == (1, 1)
        and leaf.padding in ("same", nodes.pad(0))
        and not conv.runs
        and all(part is None for part in extras)
        and conv.x.map != 0
    )


def _values(draft: _Draft) -> list[int]:
    found = (draft.x, draft.y, draft.factor, draft.add, draft.mean)
    return [value for value in found if value is not None]
