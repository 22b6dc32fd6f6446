"""BatchNorm while training and the activation behind it, as one pass over memory instead of several.

In small networks they take as long as the convolutions. torch's own reads and writes the map twice as often,
and is several times slower where the channels are no multiple of what a vector holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen import native
from smidgen.kernels.backends import transformed
from smidgen.kernels.threads import threads
from smidgen.native.norm import ACTIVATIONS, Norm, norm_backward, norm_forward
from smidgen.spec import ShapeError

__all__ = ["can_norm", "norm_act"]

_IN_TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
}


def can_norm(x: Tensor) -> bool:
    """Whether `norm_act` takes such a map: float32 on the processor, in channels_last, more than a pixel.

    Not under a compiler, which fuses torch's own, nor where torch looks on (subclasses, functorch, traces,
    derivatives in forward mode).
    """
    return (
        type(x) is Tensor
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and x.dim() == 4
        and not transformed()
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.numel() > x.shape[1]
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._is_tracing()
        and not native.missing()
    )


def norm_act(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, activation: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm by the batch's own statistics, then an activation.

    x           float32[N, C, H, W] on the processor, in channels_last; weight and bias float32[C]
    activation  relu, relu6, silu, or none
    returns     the map, like x; and the mean and the variance (over pixels, not one less) of each channel
    Raises      ShapeError where they do not fit together.
    Source      Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1
    """
    y, mean, variance = torch.ops.smidgen.norm_act(x, weight, bias, eps, activation)
    return y, mean, variance


def _checked(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise ShapeError(
            f"norm_act got activation={activation!r}; it knows {', '.join(filter(None, ACTIVATIONS))}"
        )
    if x.dim() == 4 and x.numel() <= x.shape[1]:
        raise ShapeError(f"norm_act got a tensor of shape {list(x.shape)}; statistics need two pixels")
    if x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
        raise ShapeError(
            f"norm_act got a tensor of shape {list(x.shape)} and strides {list(x.stride())}; "
            "it needs [N, C, H, W] in channels_last"
        )
    for name, one in (("weight", weight), ("bias", bias)):
        if tuple(one.shape) != (x.shape[1],):
            raise ShapeError(f"norm_act got a {name} of shape {list(one.shape)}; it needs [{x.shape[1]}]")
    for name, one in (("x", x), ("weight", weight), ("bias", bias)):
        if one.dtype != torch.float32 or one.device.type != "cpu":
            raise ShapeError(
                f"norm_act got {name} as {one.dtype} on {one.device}; it needs float32 on the cpu"
            )


def _forward(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    _checked(x, weight, bias, activation)
    weight, bias = weight.contiguous(), bias.contiguous()
    y, mean, variance = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    norm_forward(
        _norm(x, weight, bias, eps, activation),
        x.data_ptr(),
        y.data_ptr(),
        mean.data_ptr(),
        variance.data_ptr(),
        threads(),
    )
    return y, mean, variance


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    activation: str,
) -> tuple[Tensor, Tensor, Tensor]:
    _checked(x, weight, bias, activation)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    weight, bias = weight.contiguous(), bias.contiguous()
    grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
    norm_backward(
        _norm(x, weight, bias, eps, activation),
        x.data_ptr(),
        mean.data_ptr(),
        variance.data_ptr(),
        gradient.data_ptr(),
        grad_x.data_ptr(),
        grad_weight.data_ptr(),
        grad_bias.data_ptr(),
        threads(),
    )
    return grad_x, grad_weight, grad_bias


def _norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, activation: str) -> Norm:
    channels = x.shape[1]
    pixels = x.numel() // max(1, channels)
    return Norm(pixels, channels, weight.data_ptr(), bias.data_ptr(), eps, activation)


def _fake_forward(x: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)


def _fake_backward(_gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, ctx.eps, ctx.activation = inputs
    _y, mean, variance = output
    ctx.mark_non_differentiable(mean, variance)
    ctx.save_for_backward(x, weight, bias, mean, variance)


def _gradients(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, mean, variance = ctx.saved_tensors
    made: tuple[Tensor, ...]
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        made = _differentiable(gradient, x, weight, bias, ctx.eps, ctx.activation)
    else:
        made = torch.ops.smidgen.norm_act_backward(
            gradient, x, weight, bias, mean, variance, ctx.eps, ctx.activation
        )
    return *made, None, None


def _differentiable(
    gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float, activation: str
) -> tuple[Tensor, ...]:
    """The gradients as a graph of their own, for gradients of gradients."""
    aliases = tuple(one.view_as(one).requires_grad_() for one in (x, weight, bias))
    normed = F.batch_norm(aliases[0], None, None, aliases[1], aliases[2], True, 0.0, eps)
    return torch.autograd.grad(_IN_TORCH[activation](normed), aliases, gradient, create_graph=True)


def _register() -> torch.library.Library:
    library: Any = torch.library.Library("smidgen", "FRAGMENT")  # type: ignore[no-untyped-call]
    library.define(
        "norm_act(Tensor x, Tensor weight, Tensor bias, float eps, str activation) "
        "-> (Tensor, Tensor, Tensor)"
    )
    library.define(
        "norm_act_backward(Tensor gradient, Tensor x, Tensor weight, Tensor bias, Tensor mean, "
        "Tensor variance, float eps, str activation) -> (Tensor, Tensor, Tensor)"
    )
    for name, body, fake in (
        ("norm_act", _forward, _fake_forward),
        ("norm_act_backward", _backward, _fake_backward),
    ):
        library.impl(name, body, "CPU")
        torch.library.register_fake(f"smidgen::{name}", fake, lib=library)
    torch.library.register_autograd("smidgen::norm_act", _gradients, setup_context=_keep, lib=library)
    return library  # type: ignore[no-any-return]


_library = _register()  # the registration lives as long as this object
