"""The shift operators in plain torch: readable, on any device, in any type."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen.kernels.offsets import format_of, opposite

__all__ = ["refusal", "shift2d", "shift_conv", "shift_conv_backward"]


def refusal(operator: str, dtype: torch.dtype) -> str:  # noqa: ARG001 (every backend answers this)
    """Why it cannot run the operator on such numbers: it always can."""
    return ""


def shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    """Copy one slice a run. A one-hot convolution would turn an infinity into NaN (0 * inf)."""
    shifted = torch.zeros_like(x)
    channel = 0
    for count, dy, dx in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        rows, source_rows = _reads(x.shape[2], dy)
        columns, source_columns = _reads(x.shape[3], dx)
        channels = slice(channel, channel + count)
        shifted[:, channels, rows, columns] = x[:, channels, source_rows, source_columns]
        channel += count
    return shifted


def shift_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Shift, keep what the stride keeps, convolve."""
    picked = shift2d(x, runs)[:, :, ::stride, ::stride]
    return F.conv2d(picked, weight, bias).contiguous(memory_format=format_of(x))


def shift_conv_backward(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of x, weight and bias, those that are wanted."""
    grad_x = grad_weight = grad_bias = None
    if wanted[0]:
        spread = torch.zeros_like(x)
        spread[:, :, ::stride, ::stride] = F.conv2d(gradient, weight.transpose(0, 1))
        grad_x = shift2d(spread, opposite(runs))
    if wanted[1]:
        picked = shift2d(x, runs)[:, :, ::stride, ::stride]
        grad_weight = torch.einsum("nohw,nchw->oc", gradient, picked).reshape(weight.shape)
    if wanted[2]:
        grad_bias = gradient.sum((0, 2, 3))
    return grad_x, grad_weight, grad_bias


def _reads(size: int, offset: int) -> tuple[slice, slice]:
    """Where to write and where to read along one axis, so that every read is inside."""
    first, last = max(0, -offset), min(size, size - offset)
    last = max(first, last)
    return slice(first, last), slice(first + offset, last + offset)
