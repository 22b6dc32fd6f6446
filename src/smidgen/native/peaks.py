"""What this machine can do at most: arithmetic in registers, and copies in memory."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable

import numpy as np

from smidgen.native.library import library

__all__ = ["arithmetic", "copies"]

TRIES = 7
SHORT_TRIES = 40
LEAST = 0.0015  # seconds of a short try, which fits between two turns of whoever else has the core
COPIED = 2**27  # bytes that the threads copy at a time, together: more than caches hold


@functools.cache
def arithmetic(threads: int) -> float:
    """GFLOP/s of float32 multiply-adds with the instruction set in use, a multiply-add being two.

    The best of several tries: whatever else runs can only take from it.

    Raises   DependencyError without the native library.
    """
    function = library().smidgen_multiply_adds
    function.restype = ctypes.c_int64
    rounds, seconds = 500, 0.0
    while seconds < LEAST:
        rounds *= 2
        begun = time.perf_counter()
        done = function(ctypes.c_int64(rounds), ctypes.c_int32(threads))
        seconds = time.perf_counter() - begun
    call = functools.partial(function, ctypes.c_int64(rounds), ctypes.c_int32(threads))
    return 2e-9 * int(done) / _least_seconds(call, SHORT_TRIES)


@functools.cache
def copies(threads: int) -> float:
    """GB/s, read and written together, of copies larger than the caches; the best of several tries."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    each = COPIED // threads
    sources = [np.ones(each, np.uint8) for _ in range(threads)]
    targets = [np.zeros(each, np.uint8) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _least_seconds(lambda: list(pool.map(np.copyto, targets, sources)))
    return 2e-9 * threads * each / seconds


def _least_seconds(work: Callable[[], object], tries: int = TRIES) -> float:
    times = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)
