"""BatchNorm while training, called with addresses: what lies there is the caller's word."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from smidgen.native.library import checked, library

__all__ = ["ACTIVATIONS", "Norm", "norm_backward", "norm_forward"]

# Numbers of `enum smidgen_activation` in smidgen.h, of those that stand behind a BatchNorm.
ACTIVATIONS = {"": 0, "relu": 1, "relu6": 2, "silu": 3}


class Norm(NamedTuple):
    """BatchNorm of float[pixels, channels], with an activation behind it.

    weight, bias  addresses of float[channels]
    activation    one of ACTIVATIONS
    """

    pixels: int
    channels: int
    weight: int
    bias: int
    eps: float
    activation: str


class _Norm(ctypes.Structure):
    _fields_ = [
        ("pixels", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("eps", ctypes.c_double),
        ("activation", ctypes.c_int32),
    ]


def norm_forward(norm: Norm, x: int, y: int, mean: int, variance: int, threads: int) -> None:
    """Write what becomes of the numbers at `x`, and the channels' mean and variance over pixels.

    Raises   MemoryError.
    """
    _run("smidgen_norm_forward", norm, (x, y, mean, variance), threads)


def norm_backward(
    norm: Norm,
    x: int,
    mean: int,
    variance: int,
    gradient: int,
    grad_x: int,
    grad_weight: int,
    grad_bias: int,
    threads: int,
) -> None:
    """Write the gradients; mean and variance are what `norm_forward` wrote.

    Raises   MemoryError.
    """
    places = (x, mean, variance, gradient, grad_x, grad_weight, grad_bias)
    _run("smidgen_norm_backward", norm, places, threads)


def _run(name: str, norm: Norm, addresses: tuple[int, ...], threads: int) -> None:
    given = _Norm(*norm[:-1], ACTIVATIONS[norm.activation])
    pointers = (ctypes.c_void_p(address) for address in addresses)
    checked(getattr(library(), name)(ctypes.byref(given), *pointers, ctypes.c_int32(threads)))
