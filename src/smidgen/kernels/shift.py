"""The shift operation, alone and with the 1x1 convolution that follows it, known to autograd and compilers.

Every channel reads one neighbour: no parameters, no multiply-adds, and inside `shift_conv` no pass over
memory either, since the convolution reads where the shift would have read. The registered operators take
offsets as runs over contiguous channels, flattened to integers (count, dy, dx, count, dy, dx, …), because a
graph can hold those as constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from smidgen.kernels import decompose
from smidgen.kernels.backends import chosen, transformed
from smidgen.kernels.offsets import (
    FAR,
    Offsets,
    check_conv,
    check_gradient,
    check_shift,
    check_tensor,
    flat_runs,
    format_of,
    opposite,
    size_of_output,
)
from smidgen.spec import ShapeError

__all__ = ["shift2d", "shift_conv"]


def shift2d(x: Tensor, offsets: Offsets) -> Tensor:
    """Let every channel look at a neighbour: y[h, w] = x[h + dy, w + dx], zero outside.

    x        any dtype[N, C, H, W], in any memory format
    offsets  int64[C, 2], (dy, dx) in pixels; or a sequence of C pairs; or of runs (count, dy, dx)
    returns  like x, in the memory format of x; every value is copied bit by bit
    Raises   ShapeError unless x has four axes and the offsets cover exactly its channels.
    Source   Wu et al. 2018, arXiv:1711.08141, section 3.2; direction of reading as in the authors' code
    """
    check_tensor("shift2d", "x", x)
    return moved(x, flat_runs(offsets))


def shift_conv(
    x: Tensor, offsets: Offsets, weight: Tensor, bias: Tensor | None = None, stride: int = 1
) -> Tensor:
    """1x1 convolution of the shifted map, which is never written: F.conv2d(shift2d(x, offsets), weight, …).

    x        float[N, C, H, W], in any memory format
    offsets  as for `shift2d`
    weight   float[c_out, C, 1, 1], bias float[c_out], both of the dtype and on the device of x (under
             autocast all three are converted first, but not float64)
    stride   of both directions
    returns  float[N, c_out, ceil(H / stride), ceil(W / stride)], in the memory format of x; half precisions
             are summed in float32
    Raises   ShapeError where shapes, dtypes or devices do not fit together.
    """
    check_tensor("shift_conv", "x", x)
    check_tensor("shift_conv", "weight", weight)
    if bias is not None:
        check_tensor("shift_conv", "bias", bias)
    if not isinstance(stride, (int, torch.SymInt)):
        raise ShapeError(f"shift_conv got stride={stride!r:.40}; it needs one integer, for both directions")
    if isinstance(stride, int):
        stride = min(stride, FAR)  # past every map they are the same
    return fused(x, flat_runs(offsets), weight, bias, stride)


def moved(x: Tensor, runs: list[int]) -> Tensor:
    """`shift2d` for flattened runs."""
    if transformed():
        check_shift("shift2d", x, runs)
        return decompose.shift2d(x, runs)
    y: Tensor = torch.ops.smidgen.shift2d(x, runs)
    return y


def fused(x: Tensor, runs: list[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """`shift_conv` for flattened runs."""
    if transformed():
        check_conv(x, runs, weight, bias, stride)
        return decompose.shift_conv(x, runs, weight, bias, stride)
    y: Tensor = torch.ops.smidgen.shift_conv(x, runs, weight, bias, stride)
    return y


def _autocast(device: str, key: torch._C.DispatchKey) -> Callable[..., Tensor]:
    """The operator as it is under autocast: its inputs converted as torch converts those of a convolution."""

    def converted(tensor: Tensor) -> Tensor:
        converts = tensor.is_floating_point() and tensor.dtype != torch.float64
        return tensor.to(torch.get_autocast_dtype(device)) if converts else tensor

    def shift_conv(x: Tensor, runs: list[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(key)):
            bias = None if bias is None else converted(bias)
            y: Tensor = torch.ops.smidgen.shift_conv(converted(x), runs, converted(weight), bias, stride)
        return y

    return shift_conv


# ---- What the operators do ------------------------------------------------------------------------------


def _shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    check_shift("shift2d", x, runs)
    return chosen("shift2d", x.device.type, x.dtype).backend.shift2d(x, runs)


def _shift_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    check_conv(x, runs, weight, bias, stride)
    return chosen("shift_conv", x.device.type, x.dtype).backend.shift_conv(x, runs, weight, bias, stride)


def _shift_conv_backward(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, wanted: Sequence[bool]
) -> tuple[Tensor, ...]:
    """An operator returns tensors: where a gradient is not wanted, one without elements."""
    check_gradient(gradient, x, runs, weight, stride)
    backend = chosen("shift_conv", x.device.type, x.dtype).backend
    grad_x, grad_weight, grad_bias = backend.shift_conv_backward(gradient, x, runs, weight, stride, wanted)
    return (
        x.new_empty(0) if grad_x is None else grad_x.contiguous(memory_format=format_of(x)),
        x.new_empty(0) if grad_weight is None else grad_weight.contiguous(),
        x.new_empty(0) if grad_bias is None else grad_bias,
    )


# ---- What compilers see of them -------------------------------------------------------------------------


def _fake_shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    check_shift("shift2d", x, runs)
    return torch.empty_like(x)


def _fake_shift_conv(
    x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int
) -> Tensor:
    check_conv(x, runs, weight, bias, stride)
    return torch.empty(
        size_of_output(x, weight, stride), dtype=x.dtype, device=x.device, memory_format=format_of(x)
    )


def _fake_shift_conv_backward(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, wanted: Sequence[bool]
) -> tuple[Tensor, ...]:
    check_gradient(gradient, x, runs, weight, stride)
    grad_x = torch.empty(
        x.shape if wanted[0] else (0,),
        dtype=x.dtype,
        device=x.device,
        memory_format=format_of(x) if wanted[0] else None,
    )
    grad_weight = weight.new_empty(weight.shape if wanted[1] else (0,))
    return grad_x, grad_weight, weight.new_empty(weight.shape[0] if wanted[2] else 0)


# ---- Gradients ------------------------------------------------------------------------------------------


def _keep_runs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.runs = inputs[1]


def _adjoint(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    """Read at -d: the adjoint of reading at +d, with zeros outside in both."""
    return torch.ops.smidgen.shift2d(gradient, opposite(ctx.runs)), None


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    x, ctx.runs, weight, _bias, ctx.stride = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    wanted = [ctx.needs_input_grad[place] for place in (0, 2, 3)]
    made: Sequence[Tensor]
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        made = _differentiable(gradient, x, ctx.runs, weight, ctx.stride)
    else:
        made = torch.ops.smidgen.shift_conv_backward(gradient, x, ctx.runs, weight, ctx.stride, wanted)
    grad_x, grad_weight, grad_bias = (one if want else None for one, want in zip(made, wanted, strict=True))
    return grad_x, None, grad_weight, grad_bias, None


def _differentiable(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int
) -> tuple[Tensor, ...]:
    """The gradients as a graph of their own, for gradients of gradients."""
    # Aliases: where x was made from this very weight, its own history would be counted a second time.
    x, weight = x.view_as(x).requires_grad_(), weight.view_as(weight).requires_grad_()
    picked = torch.ops.smidgen.shift2d(x, runs)[:, :, ::stride, ::stride]
    y = torch.nn.functional.conv2d(picked, weight)
    return *torch.autograd.grad(y, (x, weight), gradient, create_graph=True), gradient.sum((0, 2, 3))


# ---- What torch's FlopCounterMode counts: two operations a multiply-add; a shift has none ---------------


def _flops(*shapes: Any, out_shape: tuple[int, ...], **_: Any) -> int:
    weight = shapes[2]
    return 2 * int(weight[1]) * math.prod(out_shape)


def _flops_backward(*shapes: Any, **_: Any) -> int:
    gradient, weight, wanted = shapes[0], shapes[3], shapes[5]
    return 2 * int(weight[1]) * int(math.prod(gradient)) * int(sum(wanted[:2]))


def _register() -> torch.library.Library:
    library: Any = torch.library.Library("smidgen", "FRAGMENT")  # type: ignore[no-untyped-call]
    library.define("shift2d(Tensor x, int[] runs) -> Tensor")
    library.define("shift_conv(Tensor x, int[] runs, Tensor weight, Tensor? bias, int stride) -> Tensor")
    library.define(
        "shift_conv_backward(Tensor gradient, Tensor x, int[] runs, Tensor weight, int stride, "
        "bool[3] wanted) -> (Tensor, Tensor, Tensor)"
    )
    # `Library` dispatches in a quarter of the time of `torch.library.custom_op`.
    for name, body, fake in (
        ("shift2d", _shift2d, _fake_shift2d),
        ("shift_conv", _shift_conv, _fake_shift_conv),
        ("shift_conv_backward", _shift_conv_backward, _fake_shift_conv_backward),
    ):
        library.impl(name, body, "CompositeExplicitAutograd")
        torch.library.register_fake(f"smidgen::{name}", fake, lib=library)
    for device, key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
        library.impl("shift_conv", _autocast(device, getattr(torch._C.DispatchKey, key)), key)
    torch.library.register_autograd("smidgen::shift2d", _adjoint, setup_context=_keep_runs, lib=library)
    torch.library.register_autograd(
        "smidgen::shift_conv", _gradients, setup_context=_keep_inputs, lib=library
    )
    register_flop_formula(torch.ops.smidgen.shift_conv)(_flops)
    register_flop_formula(torch.ops.smidgen.shift_conv_backward)(_flops_backward)
    return library  # type: ignore[no-any-return]


_library = _register()  # the registration lives as long as this object
