"""The threads that native kernels run on beside torch."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch

from smidgen import native

__all__ = ["threads"]


def threads() -> int:
    """How many threads torch uses; native kernels run on the same ones."""
    _share()
    return torch.get_num_threads()


@cache
def _share() -> None:
    """Run on torch's own OpenMP threads: those of a second pool would wait for cores that these keep busy.

    Only a runtime that is loaded already can be torch's. Without one the library has threads of its own.
    """
    loaded = Path("/proc/self/maps")
    lines = loaded.read_text().splitlines() if loaded.exists() else []
    paths = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
    if len(paths) == 1:
        runtime = ctypes.CDLL(paths.pop(), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        native.use_openmp(ctypes.cast(runtime.GOMP_parallel, ctypes.c_void_p).value)
