"""The native kernels: C++ behind a plain C interface, bound with ctypes; no torch, no Python headers.

`smidgen.h` is the interface, `kernels.cpp` the kernels, compiled once for each instruction set.
"""

from smidgen.native.library import fingerprint, isa, isas, missing, use_openmp
from smidgen.native.peaks import arithmetic, copies
from smidgen.native.shift import (
    FLOAT_TYPES,
    Maps,
    ShiftConv,
    shift2d,
    shift_conv_backward,
    shift_conv_forward,
)

__all__ = [
    "FLOAT_TYPES",
    "Maps",
    "ShiftConv",
    "arithmetic",
    "copies",
    "fingerprint",
    "isa",
    "isas",
    "missing",
    "shift2d",
    "shift_conv_backward",
    "shift_conv_forward",
    "use_openmp",
]
