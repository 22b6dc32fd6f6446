"""Neighbouring modules that one kernel does at once, and when it may: where nobody sees the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from smidgen.kernels import norm_act
from smidgen.kernels.norm import can_norm
from smidgen.modules.leaves import Conv2dPicked

__all__ = ["NormAnd", "is_pointwise", "listened_to"]


@dataclass(frozen=True, slots=True)
class NormAnd:
    """A BatchNorm and the activation behind it, if there is one: one kernel while training on a processor."""

    norm: str
    activation: str = ""

    def __call__(self, owner: nn.Module, x: Tensor) -> Tensor:  # noqa: D102
        norm = getattr(owner, self.norm)
        activation = getattr(owner, self.activation) if self.activation else None
        kind = _KINDS.get(type(activation))
        heard = listened_to(norm) or (activation is not None and listened_to(activation))
        if kind is not None and not heard and _learns_plainly(norm) and can_norm(x):
            return _normed(norm, x, kind)
        y: Tensor = norm(x)
        return y if activation is None else activation(y)


# As `kernels.norm` names them, by the module's type.
_KINDS: dict[type, str] = {type(None): "", nn.ReLU: "relu", nn.ReLU6: "relu6", nn.SiLU: "silu"}


def _learns_plainly(norm: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether it is torch's own, in training, with weights and a moving average of its statistics."""
    if type(norm) is not nn.BatchNorm2d or not norm.training:
        return False
    learnt = norm.weight, norm.bias, norm.momentum
    counted = norm.running_mean, norm.running_var, norm.num_batches_tracked
    return all(one is not None for one in (*learnt, *counted))


def _normed(norm: nn.BatchNorm2d, x: Tensor, activation: str) -> Tensor:
    """What the module and the activation make of x, running statistics included."""
    y, mean, variance = norm_act(x, norm.weight, norm.bias, norm.eps, activation)
    pixels = x.numel() // x.shape[1]
    with torch.no_grad():
        for average, found in (
            (norm.running_mean, mean),
            (norm.running_var, variance * (pixels / (pixels - 1))),
        ):
            assert average is not None
            assert norm.momentum is not None
            average.lerp_(found, norm.momentum)
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
    return y


def is_pointwise(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is a plain 1x1 convolution, of any stride."""
    if not isinstance(module, nn.Conv2d) or type(module) not in (nn.Conv2d, Conv2dPicked):
        return False
    plain = (module.kernel_size, module.padding, module.groups) == ((1, 1), (0, 0), 1)
    return plain and module.stride[0] == module.stride[1]


def listened_to(module: nn.Module) -> bool:
    """Whether somebody wants to see what goes in or comes out, or has another way of running it."""
    hooks = (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    )
    return bool(hooks) or "forward" in vars(module) or module._compiled_call_impl is not None
