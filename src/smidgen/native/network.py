"""The operations of whole networks as the native library takes them: structures of addresses and sizes."""

from __future__ import annotations

import ctypes
from typing import Any, get_args

from smidgen.graph import ActivationKind
from smidgen.native.library import STATUSES, checked, library

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "POOLS",
    "SPACES",
    "Op",
    "View",
    "op_sums",
    "pack",
    "packed_floats",
    "padded",
    "run",
    "run_floats",
    "softmax",
]

# Numbers of the enumerations in smidgen.h.
KINDS = {"conv": 0, "depthwise": 1, "pool": 2, "mean": 3, "pointwise": 4, "transpose": 5}
ACTIVATIONS = {None: 0} | {kind: number for number, kind in enumerate(get_args(ActivationKind), 1)}
POOLS = {"max": 0, "average": 1, "average inside": 2}
SPACES = {"nowhere": 0, "arena": 1, "input": 2, "output": 3}

_VIEWS = ("x", "y", "add", "gate", "sums")
_SIZES = ("kernel", "stride", "dilation", "top", "left", "padding")


class View(ctypes.Structure):
    """`smidgen_view`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("at", "h", "w", "c", "pixel", "channel")),
        ("space", ctypes.c_int32),
    ]


class Op(ctypes.Structure):
    """`smidgen_op`."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in ("kind", "type", "before", "activation", "then", "pool", "winograd")
        ),
        *((name, View) for name in _VIEWS),
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "scale", "offset", "runs")),
        ("n_runs", ctypes.c_int64),
        ("factor", ctypes.c_float),
        ("first", ctypes.c_void_p),
    ]


def packed_floats(columns: int, depth: int) -> int:
    """Floats that a matrix float[columns][depth] takes when packed."""
    return _signed(library().smidgen_packed_floats, columns, depth)


def pack(matrix: int, scale: int | None, columns: int, depth: int, packed: int) -> None:
    """Lay the float[columns][depth] at the address `matrix` out for convolutions, at the address `packed`.

    scale  address of a factor for each column; None for 1
    """
    library().smidgen_pack(
        ctypes.c_void_p(matrix),
        ctypes.c_void_p(scale),
        ctypes.c_int64(columns),
        ctypes.c_int64(depth),
        ctypes.c_void_p(packed),
    )


def padded(columns: int) -> int:
    """Columns rounded up to as many as a bias must have room for."""
    return _signed(library().smidgen_padded, columns)


def op_sums(op: Op) -> int:
    """How many pixels of sums a depthwise convolution leaves.

    Raises   ValueError for an operation that is none, or that the library does not know.
    """
    return _known(_signed(library().smidgen_op_sums, ctypes.byref(op)))


def run_floats(ops: Any, arena: int, threads: int) -> int:
    """Floats of memory that `run` needs.

    Raises   ValueError where the library does not know a kind, type, activation, pool or space.
    """
    function = library().smidgen_run_floats
    return _known(_signed(function, ctypes.byref(ops), len(ops), arena, ctypes.c_int32(threads)))


def run(
    ops: Any,
    arena: int,
    pictures: int,
    x: tuple[int, int],
    y: tuple[int, int],
    memory: int,
    threads: int,
    seconds: int | None = None,
) -> None:
    """Take pictures through the operations.

    ops      ctypes array of Op
    arena    floats
    x, y     address, and floats for each picture
    memory   address of `run_floats` floats, on a boundary of 64 bytes
    seconds  address of a double for each operation, to which its time is added
    Raises   MemoryError; ValueError as `run_floats`.
    """
    status = library().smidgen_run(
        ctypes.byref(ops),
        ctypes.c_int64(len(ops)),
        ctypes.c_int64(arena),
        ctypes.c_int64(pictures),
        ctypes.c_void_p(x[0]),
        ctypes.c_int64(x[1]),
        ctypes.c_void_p(y[0]),
        ctypes.c_int64(y[1]),
        ctypes.c_void_p(memory),
        ctypes.c_int32(threads),
        ctypes.c_void_p(seconds),
    )
    checked(status, "the engine found no memory for its threads")


def softmax(x: int, rows: int, columns: int, y: int) -> None:
    """Write the softmax of each of the rows float[columns] at the address `x` to the address `y`.

    The numbers must be finite. `y` may be `x`.
    """
    library().smidgen_softmax(
        ctypes.c_void_p(x), ctypes.c_int64(rows), ctypes.c_int64(columns), ctypes.c_void_p(y)
    )


def _known(count: int) -> int:
    if count < 0:
        checked(STATUSES["unknown"])
    return count


def _signed(function: Any, *arguments: Any) -> int:
    function.restype = ctypes.c_int64
    numbers = (ctypes.c_int64(one) if isinstance(one, int) else one for one in arguments)
    return int(function(*numbers))
