"""The shift kernels, called with addresses: what lies there is the caller's word."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, NamedTuple

from smidgen.native.library import checked, library

__all__ = ["FLOAT_TYPES", "Maps", "ShiftConv", "shift2d", "shift_conv_backward", "shift_conv_forward"]

# Numbers of `enum smidgen_type` in smidgen.h.
FLOAT_TYPES = {"float32": 0, "bfloat16": 1, "float16": 2}


class Maps(NamedTuple):
    """Dense maps in memory: float[n, c, h, w], or [n, h, w, c] where channels_last."""

    n: int
    c: int
    h: int
    w: int
    channels_last: bool


class ShiftConv(NamedTuple):
    """A shift and the 1x1 convolution after it.

    maps   of the input
    runs   (count, dy, dx) over contiguous channels, flattened
    kind   of all numbers, one of FLOAT_TYPES
    """

    maps: Maps
    runs: tuple[int, ...]
    c_out: int
    stride: int
    kind: str


class _Maps(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_int64) for name in "nchw"), ("channels_last", ctypes.c_int32)]


class _ShiftConv(ctypes.Structure):
    _fields_ = [
        ("maps", _Maps),
        ("c_out", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("runs", ctypes.POINTER(ctypes.c_int64)),
        ("n_runs", ctypes.c_int64),
        ("type", ctypes.c_int32),
    ]


def shift2d(maps: Maps, runs: tuple[int, ...], itemsize: int, x: int, y: int, threads: int) -> None:
    """Write the shifted maps at `x` to `y`.

    runs     as of ShiftConv
    Raises   MemoryError, as all of these.
    """
    array = _array(runs)
    checked(
        library().smidgen_shift2d(
            ctypes.byref(_maps(maps)),
            array,
            ctypes.c_int64(len(runs) // 3),
            ctypes.c_int32(itemsize),
            ctypes.c_void_p(x),
            ctypes.c_void_p(y),
            ctypes.c_int32(threads),
        )
    )


def shift_conv_forward(conv: ShiftConv, x: int, weight: int, bias: int | None, y: int, threads: int) -> None:
    """Write the 1x1 convolution of the shifted maps to `y`, in the memory format of the maps."""
    pointers = map(ctypes.c_void_p, (x, weight, bias, y))
    checked(library().smidgen_shift_conv_forward(_conv(conv), *pointers, ctypes.c_int32(threads)))


def shift_conv_backward(
    conv: ShiftConv,
    x: int,
    weight: int,
    gradient: int,
    grad_x: int | None,
    grad_weight: int | None,
    grad_bias: int | None,
    threads: int,
) -> None:
    """Write the gradients that have an address. The same number of threads gives the same bits."""
    pointers = map(ctypes.c_void_p, (x, weight, gradient, grad_x, grad_weight, grad_bias))
    checked(library().smidgen_shift_conv_backward(_conv(conv), *pointers, ctypes.c_int32(threads)))


def _maps(maps: Maps) -> _Maps:
    return _Maps(maps.n, maps.c, maps.h, maps.w, maps.channels_last)


def _conv(conv: ShiftConv) -> Any:
    """Its address in C, for as long as the call takes."""
    runs = conv.runs
    return ctypes.byref(
        _ShiftConv(
            _maps(conv.maps), conv.c_out, conv.stride, _array(runs), len(runs) // 3, FLOAT_TYPES[conv.kind]
        )
    )


@lru_cache(maxsize=1024)
def _array(runs: tuple[int, ...]) -> Any:
    """The numbers in C; kept, since a network asks for the same ones at every step."""
    return (ctypes.c_int64 * len(runs))(*runs)
