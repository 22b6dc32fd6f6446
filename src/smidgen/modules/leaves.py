"""The leaves of a tree as torch modules: torch's own, and the few that torch lacks."""

from __future__ import annotations

import math
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen import graph
from smidgen.graph.leaves import has_no_window
from smidgen.kernels.offsets import Run
from smidgen.kernels.shift import moved
from smidgen.modules.init import initialise
from smidgen.modules.randomness import SampleKeyed

__all__ = ["Conv2dPadded", "Conv2dPicked", "Conv2dSame", "Dropout", "Shift", "leaf_module"]

Sides = tuple[tuple[int, int], tuple[int, int]]


class Conv2dPadded(nn.Conv2d):
    """Convolution that pads its four sides by different amounts: ((top, bottom), (left, right))."""

    def __init__(self, leaf: graph.Conv, sides: Sides) -> None:
        super().__init__(
            leaf.c_in, leaf.c_out, leaf.kernel, leaf.stride, 0, leaf.dilation, leaf.groups, leaf.bias
        )
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve: float[N, c_in, H, W] -> float[N, c_out, h, w]."""
        return super().forward(F.pad(x, (*self.sides[1], *self.sides[0])))

    def extra_repr(self) -> str:
        """Show the sides beside what torch shows."""
        return f"{_conv_repr(self)}, sides={self.sides}"


class Conv2dSame(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs on any size.

    The padding depends on the size that arrives; an odd amount leaves its extra row at the bottom and
    its extra column at the right.
    """

    def __init__(self, leaf: graph.Conv) -> None:
        super().__init__(
            leaf.c_in, leaf.c_out, leaf.kernel, leaf.stride, 0, leaf.dilation, leaf.groups, leaf.bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve: float[N, c_in, H, W] -> float[N, c_out, ceil(H/stride), ceil(W/stride)]."""
        return super().forward(F.pad(x, (*self._sides(x.shape[3]), *self._sides(x.shape[2]))))

    def _sides(self, size: int) -> tuple[int, int]:
        stride, reach = self.stride[0], self.dilation[0] * (self.kernel_size[0] - 1) + 1
        steps = (size + stride - 1) // stride - 1
        total = max(steps * stride + reach - size, 0)
        return total // 2, total - total // 2

    def extra_repr(self) -> str:
        """Show the padding beside what torch shows."""
        return f"{_conv_repr(self)}, padding=same"


class Conv2dPicked(nn.Conv2d):
    """Strided 1x1 convolution on few channels: the pixels that the stride keeps are picked first.

    The result is that of torch's own, whose backward pass writes past its buffers with under 8 channels in
    channels_last on processors without AVX-512 (torch 2.13.0 with oneDNN; glibc aborts).
    """

    def __init__(self, leaf: graph.Conv) -> None:
        super().__init__(leaf.c_in, leaf.c_out, 1, leaf.stride, 0, 1, leaf.groups, leaf.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Pick, then mix: float[N, c_in, H, W] -> float[N, c_out, ceil(H/stride), ceil(W/stride)]."""
        picked = x[:, :, :: self.stride[0], :: self.stride[1]]
        return F.conv2d(picked, self.weight, self.bias, groups=self.groups)


class Dropout(SampleKeyed):
    """Dropout of single features with probability `p` while training, drawn from the sample keys."""

    def __init__(self, p: float) -> None:
        super().__init__(streams=1)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Zero features and scale the others by 1 / (1 - p); any shape [N, …]."""
        if not self.training or self.p == 0:
            return x
        draws = self._draw(x, 0, math.prod(x.shape[1:])).reshape(x.shape)
        return torch.where(draws < self.p, 0.0, x / (1 - self.p))

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"


class Shift(nn.Module):
    """Each run of channels reads its neighbour, as `kernels.shift2d`; no parameters, no state."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        super().__init__()
        self.runs = runs
        self.flat_runs = [number for run in runs for number in run]

    def forward(self, x: Tensor) -> Tensor:
        """y[h, w] = x[h + dy, w + dx], zero outside: float[N, C, H, W], shape and format kept."""
        return moved(x, self.flat_runs)

    def extra_repr(self) -> str:
        """Show how many channels move in how many directions."""
        return f"{sum(run[0] for run in self.runs)}, runs={len(self.runs)}"


def leaf_module(leaf: graph.Leaf, inplace: bool = False) -> nn.Module:
    """Torch module of one leaf, freshly initialised.

    inplace  whether an activation may overwrite its input
    """
    match leaf:
        case graph.Conv(init=init):
            conv = _conv(leaf)
            initialise(conv, init)
            return conv
        case graph.Linear(c_in=c_in, c_out=c_out, bias=bias, init=init):
            linear = nn.Linear(c_in, c_out, bias)
            initialise(linear, init)
            return linear
        case graph.BatchNorm(channels=channels, eps=eps, momentum=momentum):
            return nn.BatchNorm2d(channels, eps, momentum)
        case graph.Activation(kind=kind):
            return _activation(kind, inplace)
        case graph.Dropout(p=p):
            return Dropout(p)
        case graph.Shift(runs=runs):
            return Shift(runs)
        case graph.Pool():
            return _pool(leaf)
        case graph.GlobalPool():
            return nn.AdaptiveAvgPool2d(1)
        case graph.Flatten():
            return nn.Flatten(1)
        case _:
            assert_never(leaf)


_FEW_CHANNELS = 16  # twice where the fault was seen, for wider vectors


def _conv(leaf: graph.Conv) -> nn.Conv2d:
    if has_no_window(leaf) and leaf.stride > 1 and leaf.c_in < _FEW_CHANNELS:
        return Conv2dPicked(leaf)
    reach = leaf.dilation * (leaf.kernel - 1)
    sides: Sides
    if leaf.padding != "same":
        sides = leaf.padding
    elif leaf.stride == 1:  # then SAME does not depend on the size
        sides = ((reach // 2, reach - reach // 2),) * 2
    else:
        return Conv2dSame(leaf)
    (top, bottom), (left, right) = sides
    if (top, left) != (bottom, right):
        return Conv2dPadded(leaf, sides)
    return nn.Conv2d(
        leaf.c_in,
        leaf.c_out,
        leaf.kernel,
        leaf.stride,
        (top, left),
        leaf.dilation,
        leaf.groups,
        leaf.bias,
    )


def _conv_repr(conv: nn.Conv2d) -> str:
    text: str = nn.Conv2d.extra_repr(conv)  # type: ignore[no-untyped-call]
    return text


def _activation(kind: graph.ActivationKind, inplace: bool) -> nn.Module:
    match kind:
        case "relu":
            return nn.ReLU(inplace)
        case "relu6":
            return nn.ReLU6(inplace)
        case "silu":
            return nn.SiLU(inplace)
        case "sigmoid":
            return nn.Sigmoid()
        case _:
            assert_never(kind)


def _pool(leaf: graph.Pool) -> nn.Module:
    match leaf.kind:
        case "max":
            return nn.MaxPool2d(leaf.kernel, leaf.stride, leaf.padding, ceil_mode=leaf.ceil_mode)
        case "avg":
            return nn.AvgPool2d(
                leaf.kernel, leaf.stride, leaf.padding, leaf.ceil_mode, leaf.count_include_pad
            )
        case _:
            assert_never(leaf.kind)
