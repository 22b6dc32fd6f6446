"""Which implementation runs an operator: the first for the device that does not refuse."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from smidgen import native
from smidgen.spec import SmidgenWarning

__all__ = ["OPERATORS", "Backend", "Choice", "chosen", "transformed"]

OPERATORS = ("shift2d", "shift_conv")
# Modules of this package, the best one first.
FOR_DEVICE = {"cpu": ("cpu", "reference"), "cuda": ("triton", "reference")}


class Backend(Protocol):
    """What a module offers; tensors and runs have been checked."""

    def refusal(self, operator: str, dtype: torch.dtype) -> str: ...  # noqa: D102

    def shift2d(self, x: Tensor, runs: Sequence[int]) -> Tensor: ...  # noqa: D102

    def shift_conv(  # noqa: D102
        self, x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int
    ) -> Tensor: ...

    def shift_conv_backward(  # noqa: D102
        self,
        gradient: Tensor,
        x: Tensor,
        runs: Sequence[int],
        weight: Tensor,
        stride: int,
        wanted: Sequence[bool],
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]: ...


class Choice(NamedTuple):
    """A backend, its name, and why it was not a better one."""

    backend: Backend
    name: str
    reason: str


@cache
def chosen(operator: str, device: str, dtype: torch.dtype) -> Choice:
    """The backend that runs an operator (one of OPERATORS) on a kind of device: `cpu`, `cuda`, …"""
    reasons = []
    for name in FOR_DEVICE.get(device, ("reference",)):
        try:
            backend: Backend = importlib.import_module(f"smidgen.kernels.{name}")
        except ImportError as error:
            reasons.append(f"{name}: {error}")
            continue
        if not (reason := backend.refusal(operator, dtype)):
            return Choice(backend, name, "; ".join(reasons))
        if reason == native.missing():
            warnings.warn(f"shifts run in plain torch, several times slower: {reason}", SmidgenWarning, 2)
        reasons.append(f"{name}: {reason}")
    raise AssertionError("the reference refuses nothing")


def transformed() -> bool:
    """Whether `torch.func` or forward-mode differentiation looks on: they know torch's operators only."""
    return not torch.compiler.is_compiling() and (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )
