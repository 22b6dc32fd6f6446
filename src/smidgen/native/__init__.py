"""The native kernels: C++ behind a plain C interface, bound with ctypes; no torch, no Python headers.

`smidgen.h` is the interface. `isa/` holds the instruction sets, `product/` the packed product, `infer/` the
operations of whole networks, `train/` shifts and norms.
"""

from smidgen.native.library import fingerprint, isa, isas, missing, use_openmp
from smidgen.native.peaks import arithmetic, copies

__all__ = ["arithmetic", "copies", "fingerprint", "isa", "isas", "missing", "use_openmp"]
