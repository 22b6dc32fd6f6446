"""The threads that torch works on, and native kernels beside it."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch

from smidgen import native

__all__ = ["lost", "threads"]

_HARD = 2  # omp_pause_hard: give everything back

_paused = _lost = False


def threads() -> int:
    """How many threads torch uses; native kernels run on the same ones."""
    _share()
    return torch.get_num_threads()


def lost() -> bool:
    """Whether this is a forked child in which torch would wait for threads that stayed with the parent."""
    return _lost


@cache
def _share() -> None:
    """Run on torch's own OpenMP threads: those of a second pool would wait for cores that these keep busy.

    Only a runtime that is loaded already can be torch's. Without one, and where its threads are lost, the
    library has threads of its own.
    """
    runtimes = _runtimes()
    if len(runtimes) == 1 and not _lost:
        native.use_openmp(ctypes.cast(runtimes[0].GOMP_parallel, ctypes.c_void_p).value)


@cache
def _runtimes() -> list[ctypes.CDLL]:
    """GNU's OpenMP as often as it is loaded."""
    loaded = Path("/proc/self/maps")
    lines = loaded.read_text().splitlines() if loaded.exists() else []
    paths = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
    return [ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY) for path in sorted(paths)]


# GNU's OpenMP never learns of a fork. In the child it remembers the threads that the forking thread worked
# with, and waits for them for ever, in torch as everywhere. So that thread lets its team go before; both
# processes make a new one when they next need it.


def _before_fork() -> None:
    global _paused
    pauses = [getattr(runtime, "omp_pause_resource_all", None) for runtime in _runtimes()]
    _paused = all(pause is not None and pause(_HARD) == 0 for pause in pauses)


def _after_fork() -> None:
    global _lost
    _lost = _lost or not _paused
    _share.cache_clear()
    # torch has another pool, which lets go of the parent's threads at this; else it joins them at the exit.
    torch.set_num_threads(torch.get_num_threads())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
