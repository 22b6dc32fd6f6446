"""Find and load the native library, and say what it runs on."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from smidgen.spec import DependencyError

__all__ = ["STATUSES", "checked", "fingerprint", "isa", "isas", "library", "missing", "use_openmp"]

NAME = "libsmidgen.so"
ABI = 8  # SMIDGEN_ABI of the interface that this package was written for

# Numbers of `enum smidgen_status` in smidgen.h.
STATUSES = {"done": 0, "no memory": 1, "unknown": 2}


@cache
def _loaded() -> ctypes.CDLL | str:
    """The library, or in one line why there is none."""
    from smidgen import native

    # An editable installation keeps what was compiled apart from the sources; the package's path has both.
    found = next((path for home in native.__path__ if (path := Path(home, NAME)).is_file()), None)
    if found is None:
        return "the native library was not built; a C++ compiler and `pip install` make it"
    try:
        loaded = ctypes.CDLL(str(found))
    except OSError as error:
        return f"the native library does not load: {error}"
    if not hasattr(loaded, "smidgen_abi") or loaded.smidgen_abi() != ABI:
        return f"{found} is of another version; `pip install` makes the one that belongs to these sources"
    loaded.smidgen_isa.restype = loaded.smidgen_isas.restype = ctypes.c_char_p
    loaded.smidgen_use_openmp.argtypes = [ctypes.c_void_p]
    loaded.smidgen_use_openmp.restype = None
    forced, there = os.environ.get("SMIDGEN_ISA"), loaded.smidgen_isas().decode().split(",")
    if forced and forced not in there:
        raise DependencyError(
            f"SMIDGEN_ISA={forced} is not here; set it to {' or '.join(there)}, or unset it"
        )
    return loaded


def missing() -> str:
    """Why there is no native library; empty where there is one.

    Raises   DependencyError where SMIDGEN_ISA asks for instructions that are not there.
    """
    loaded = _loaded()
    return loaded if isinstance(loaded, str) else ""


def library() -> ctypes.CDLL:
    """The library.

    Raises   DependencyError where there is none.
    """
    loaded = _loaded()
    if isinstance(loaded, str):
        raise DependencyError(loaded)
    return loaded


def checked(status: int, lacking: str = "the native kernels found no memory for their scratch") -> None:
    """Raise what a call that computes has returned, if anything.

    lacking  what to say where memory has run out
    Raises   MemoryError; ValueError where the library was given a number that stands for nothing.
    """
    if status == STATUSES["unknown"]:
        raise ValueError("the native library was given a kind, type, activation, pool or space that it lacks")
    if status:
        raise MemoryError(lacking)


@cache
def fingerprint() -> str:
    """Twelve digits of the library's SHA-256: another one may take other times."""
    import hashlib

    return hashlib.sha256(Path(library()._name).read_bytes()).hexdigest()[:12]


def isa() -> str:
    """Instruction set in use; SMIDGEN_ISA forces one: `avx512_bf16`, `avx512`, `avx2`, `neon`, `portable`."""
    return str(library().smidgen_isa().decode())


def isas() -> list[str]:
    """Instruction sets that this processor and this library have, the best one first."""
    return str(library().smidgen_isas().decode()).split(",")


def use_openmp(gomp_parallel: int | None) -> None:
    """Run parallel parts on the threads of an OpenMP runtime: the address of its `GOMP_parallel`."""
    library().smidgen_use_openmp(gomp_parallel)
