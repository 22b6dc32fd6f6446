"""The threads that torch works on, and native kernels beside it.

OpenMP's threads do not survive a fork: where a parent has had some, its child would wait for them for ever,
in torch as everywhere.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch

from smidgen import native

__all__ = ["forked", "threads"]

_forked = False


def threads() -> int:
    """How many threads torch uses; native kernels run on the same ones."""
    _share()
    return torch.get_num_threads()


def forked() -> bool:
    """Whether this process was forked after torch was loaded, and may have lost its OpenMP threads."""
    return _forked


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _share() -> None:
    """Run on torch's own OpenMP threads: those of a second pool would wait for cores that these keep busy.

    Only a runtime that is loaded already can be torch's. Without one, and in a forked child, the library has
    threads of its own.
    """
    if _forked:
        return
    loaded = Path("/proc/self/maps")
    lines = loaded.read_text().splitlines() if loaded.exists() else []
    paths = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
    if len(paths) == 1:
        runtime = ctypes.CDLL(paths.pop(), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        native.use_openmp(ctypes.cast(runtime.GOMP_parallel, ctypes.c_void_p).value)
