"""The shift operators on processors: torch's tensors handed to the native kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smidgen import native
from smidgen.kernels.offsets import format_of, size_of_output
from smidgen.kernels.threads import threads
from smidgen.native import shift

__all__ = ["refusal", "shift2d", "shift_conv", "shift_conv_backward"]


def refusal(operator: str, dtype: torch.dtype) -> str:
    """Why it cannot run the operator on such numbers; empty where it can."""
    if reason := native.missing():
        return reason
    if operator != "shift2d" and _kind(dtype) not in shift.FLOAT_TYPES:
        return f"the native kernels compute {', '.join(shift.FLOAT_TYPES)}"
    return ""


def shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    """As the operator; x may have any strides."""
    y = torch.empty_like(x)
    maps, dense = _maps(x)
    fits = y.is_contiguous(memory_format=format_of(x))
    target = y if fits else torch.empty_like(dense)
    shift.shift2d(maps, tuple(runs), x.element_size(), dense.data_ptr(), target.data_ptr(), threads())
    return y if fits else y.copy_(target)


def shift_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """As the operator; x may have any strides."""
    conv, dense = _conv(x, runs, weight, stride)
    weight, bias = weight.contiguous(), None if bias is None else bias.contiguous()
    y = torch.empty(size_of_output(x, weight, stride), dtype=x.dtype, memory_format=format_of(x))
    shift.shift_conv_forward(
        conv, dense.data_ptr(), weight.data_ptr(), _address(bias), y.data_ptr(), threads()
    )
    return y


def shift_conv_backward(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of x, weight and bias, those that are wanted; the bits depend on the number of threads."""
    conv, dense = _conv(x, runs, weight, stride)
    weight = weight.contiguous()
    gradient = gradient.contiguous(memory_format=format_of(x))
    grad_x = torch.empty_like(dense) if wanted[0] else None
    grad_weight = torch.empty_like(weight) if wanted[1] else None
    grad_bias = weight.new_empty(weight.shape[0]) if wanted[2] else None
    shift.shift_conv_backward(
        conv,
        dense.data_ptr(),
        weight.data_ptr(),
        gradient.data_ptr(),
        _address(grad_x),
        _address(grad_weight),
        _address(grad_bias),
        threads(),
    )
    return grad_x, grad_weight, grad_bias


def _maps(x: Tensor) -> tuple[shift.Maps, Tensor]:
    """The maps in dense memory, copied only where they are not."""
    form = format_of(x)
    n, c, h, w = x.shape
    return shift.Maps(n, c, h, w, form is torch.channels_last), x.contiguous(memory_format=form)


def _conv(x: Tensor, runs: Sequence[int], weight: Tensor, stride: int) -> tuple[shift.ShiftConv, Tensor]:
    maps, dense = _maps(x)
    stride = min(stride, max(maps.h, maps.w, 1))  # one pixel is kept in either case, and products stay small
    return shift.ShiftConv(maps, tuple(runs), weight.shape[0], stride, _kind(x.dtype)), dense


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
