"""The steps of a Program. A step reads views of maps and writes one.

Six kinds are enough for every network; what stands around a convolution in the tree (normalisation, shift,
gate, residual, activation) is done by its step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

from smidgen.graph import Conv as ConvLeaf
from smidgen.graph import Pool as PoolLeaf
from smidgen.graph.nodes import ActivationKind
from smidgen.program.values import Encoding, Weight

__all__ = [
    "Affine",
    "After",
    "Conv",
    "Depthwise",
    "Mean",
    "Pixels",
    "Pointwise",
    "Pooling",
    "Run",
    "Step",
    "Transpose",
    "View",
    "Way",
    "inner",
    "learnt",
    "views_read",
    "views_written",
]

Run: TypeAlias = tuple[int, int, int]

# How a machine does a convolution. "gate first": the gate multiplies the input where it lies, and then it is
# done directly; else it multiplies the weights, again for every block of pixels.
Way: TypeAlias = Literal["direct", "winograd", "gate first"]

_AS_IT_IS: Mapping[str, Encoding] = {}  # float32, every one


class View(NamedTuple):
    """Neighbouring channels of a map: all of them, or the slice that a branch of a Concat writes.

    map       number of the map in the program
    channels  how many
    first     the first of them
    """

    map: int
    channels: int
    first: int = 0


class Pixels(NamedTuple):
    """Which pixels of its layer a step makes: row `row` and every `stride`-th behind it, columns alike."""

    row: int
    column: int
    stride: int

    def __str__(self) -> str:
        return f"{self.row}::{self.stride}, {self.column}::{self.stride}"


class Affine(NamedTuple):
    """What happens to each channel of the input, before anything else: activation(x * scale + offset).

    scale, offset  [channels]; None for 1 and 0
    layer          the BatchNorm that they are made of
    """

    scale: Weight | None = None
    offset: Weight | None = None
    activation: ActivationKind | None = None
    layer: str = ""


class After(NamedTuple):
    """What happens to each element of the output: then(activation(y) + add)."""

    activation: ActivationKind | None = None
    add: View | None = None
    then: ActivationKind | None = None


class Conv(NamedTuple):
    """y = after(weight * (before(shift(x)) * gate) + bias); a Linear is one on a map of one pixel.

    leaf    kernel, stride, padding and dilation
    weight  [c_out, c_in, kernel, kernel]
    bias    [c_out]
    runs    of the shift that comes first; () for none. Shift, before and gate: 1x1 convolutions only
    gate    one factor for each input channel
    inside  how the values on the way are kept, see `inner`; float32 where nothing is said

    Only passes for a machine set these:

    way        how it is done
    pixels     those of its layer that it makes; None for all
    reordered  its input's channels come in another order than its layer's
    """

    id: int
    layer: str
    x: View
    y: View
    leaf: ConvLeaf
    weight: Weight
    bias: Weight | None
    runs: tuple[Run, ...] = ()
    before: Affine | None = None
    gate: View | None = None
    after: After = After()
    inside: Mapping[str, Encoding] = _AS_IT_IS
    way: Way = "direct"
    pixels: Pixels | None = None
    reordered: bool = False


class Depthwise(NamedTuple):
    """y = activation(weight * x + bias), each channel by itself.

    weight  [channels, 1, kernel, kernel]

    Only passes for a machine set these:

    mean   receives the mean of each channel of y
    first  a plain 1x1 convolution that makes x piece by piece: x is nowhere kept
    """

    id: int
    layer: str
    x: View
    y: View
    leaf: ConvLeaf
    weight: Weight
    bias: Weight | None
    activation: ActivationKind | None = None
    inside: Mapping[str, Encoding] = _AS_IT_IS
    mean: View | None = None
    first: Conv | None = None


class Pooling(NamedTuple):
    """Max or average over windows."""

    id: int
    layer: str
    x: View
    y: View
    leaf: PoolLeaf


class Mean(NamedTuple):
    """Mean over the map."""

    id: int
    layer: str
    x: View
    y: View


class Pointwise(NamedTuple):
    """y = then(before(shift(x)) * factor + add): what no convolution could take on, and copies.

    factor  one for each channel, or a map like x
    inside  as a Conv's
    """

    id: int
    layer: str
    x: View
    y: View
    runs: tuple[Run, ...] = ()
    before: Affine | None = None
    factor: View | None = None
    add: View | None = None
    then: ActivationKind | None = None
    inside: Mapping[str, Encoding] = _AS_IT_IS


class Transpose(NamedTuple):
    """Channels one after the other, each with its pixels: torch's order where features are flat."""

    id: int
    layer: str
    x: View
    y: View


Step: TypeAlias = Conv | Depthwise | Pooling | Mean | Pointwise | Transpose


def views_read(step: Step) -> list[View]:
    """What the step reads."""
    views: list[Any] = [step.first.x if isinstance(step, Depthwise) and step.first else step.x]
    if isinstance(step, Conv):
        views += [step.gate, step.after.add]
    elif isinstance(step, Pointwise):
        views += [step.factor, step.add]
    return [view for view in views if view is not None]


def views_written(step: Step) -> list[View]:
    """What the step writes."""
    mean = step.mean if isinstance(step, Depthwise) else None
    return [step.y] if mean is None else [step.y, mean]


def learnt(step: Step) -> dict[str, Weight]:
    """What was learnt for the step, by its part in it; what a `first` has learnt is its own."""
    found: dict[str, Weight | None] = {}
    if isinstance(step, Conv | Depthwise):
        found |= {"weight": step.weight, "bias": step.bias}
    if isinstance(step, Conv | Pointwise) and step.before is not None:
        found |= {"scale": step.before.scale, "offset": step.before.offset}
    return {part: weight for part, weight in found.items() if weight is not None}


def inner(step: Step) -> tuple[str, ...]:
    """Names of the values that the step makes on its way to `y`, in their order: integers round there.

    normed     behind the BatchNorm of the input, before its activation
    before     what is done to the input alone
    gated      behind the gate
    convolved  weights times input, and bias
    activated  behind the activation, before the sum
    added      behind the sum, before the activation of it

    The last that a step makes is y itself, and has no name here.
    """
    match step:
        case Conv(before=before, gate=gate, after=after):
            made = _normed(before)
            made += ["gated"] * (gate is not None) + ["convolved"]
            made += ["activated"] * (after.activation is not None) + ["added"] * (after.add is not None)
            return tuple(made if after.then else made[:-1])
        case Pointwise(before=before):
            made = _normed(before)
            made += ["gated"] * (step.factor is not None) + ["added"] * (step.add is not None)
            return tuple(made if step.then else made[:-1])
        case Depthwise():
            return ("convolved",) if step.activation else ()
        case Pooling() | Mean() | Transpose():
            return ()
        case _:
            assert_never(step)


def _normed(before: Affine | None) -> list[str]:
    if before is None:
        return []
    both = before.scale is not None and before.activation is not None
    return ["normed", "before"] if both else ["before"]
