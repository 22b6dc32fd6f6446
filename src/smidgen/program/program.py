"""The fused plan of a network: what is done, step by step, whoever does it.

A step reads views of maps and writes one. Six kinds of step are enough for every network; what stands around
a convolution in the tree (normalisation, shift, gate, residual, activation) is done by its step.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import Conv as ConvLeaf
from smidgen.graph import Pool as PoolLeaf
from smidgen.graph.nodes import ActivationKind
from smidgen.spec import Shape

__all__ = [
    "Affine",
    "After",
    "Array",
    "Conv",
    "Depthwise",
    "Mean",
    "Plan",
    "Pointwise",
    "Pooling",
    "Step",
    "Transpose",
    "View",
    "views_read",
    "views_written",
]

Array: TypeAlias = NDArray[np.float32]
Run: TypeAlias = tuple[int, int, int]


class View(NamedTuple):
    """Neighbouring channels of a map: all of them, or the slice that a branch of a Concat writes.

    map       number of the map in the plan
    channels  how many
    first     the first of them
    """

    map: int
    channels: int
    first: int = 0


class Affine(NamedTuple):
    """What happens to each channel of the input, before anything else: activation(x * scale + offset).

    scale, offset  float32[channels]; None for 1 and 0
    """

    scale: Array | None = None
    offset: Array | None = None
    activation: ActivationKind | None = None


class After(NamedTuple):
    """What happens to each element of the output: then(activation(y) + add)."""

    activation: ActivationKind | None = None
    add: View | None = None
    then: ActivationKind | None = None


class Conv(NamedTuple):
    """y = after(scale * weight * (before(shift(x)) * gate) + bias); a Linear is one on a map of one pixel.

    leaf    kernel, stride, padding and dilation
    weight  float32[c_out, c_in, kernel, kernel]
    scale   float32[c_out], or None for 1
    bias    float32[c_out]
    runs    of the shift that comes first; () for none. Shift, before and gate: 1x1 convolutions only
    gate    one factor for each input channel
    """

    name: str
    x: View
    y: View
    leaf: ConvLeaf
    weight: Array
    scale: Array | None
    bias: Array | None
    runs: tuple[Run, ...] = ()
    before: Affine | None = None
    gate: View | None = None
    after: After = After()


class Depthwise(NamedTuple):
    """y = activation(weight * x + bias), each channel by itself; `mean` receives the mean of each.

    weight  float32[channels, 1, kernel, kernel]
    first   a plain 1x1 convolution that makes x piece by piece: x is nowhere kept
    """

    name: str
    x: View
    y: View
    leaf: ConvLeaf
    weight: Array
    bias: Array | None
    activation: ActivationKind | None = None
    mean: View | None = None
    first: Conv | None = None


class Pooling(NamedTuple):
    """Max or average over windows."""

    name: str
    x: View
    y: View
    leaf: PoolLeaf


class Mean(NamedTuple):
    """Mean over the map."""

    name: str
    x: View
    y: View


class Pointwise(NamedTuple):
    """y = then(before(shift(x)) * factor + add): what no convolution could take on, and copies.

    factor  one for each channel, or a map like x
    """

    name: str
    x: View
    y: View
    runs: tuple[Run, ...] = ()
    before: Affine | None = None
    factor: View | None = None
    add: View | None = None
    then: ActivationKind | None = None


class Transpose(NamedTuple):
    """Channels one after the other, each with its pixels: torch's order where features are flat."""

    name: str
    x: View
    y: View


Step: TypeAlias = Conv | Depthwise | Pooling | Mean | Pointwise | Transpose


class Plan(NamedTuple):
    """Steps in the order in which they run.

    maps    shape of each map for one picture; the first is the network's input
    output  number of the map that the network answers with
    """

    steps: tuple[Step, ...]
    maps: tuple[Shape, ...]
    output: int
    input: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolutions that one picture takes."""
        return sum(self._macs(step) for step in self.steps)

    def _macs(self, step: Step | None) -> int:
        """Of a step, and of the one that it does on its way."""
        if not isinstance(step, Conv | Depthwise):
            return 0
        y = self.maps[step.y.map]
        on_its_way = self._macs(step.first) if isinstance(step, Depthwise) else 0
        return step.weight.size * y.height * y.width + on_its_way


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
