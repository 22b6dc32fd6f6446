"""The memory that a training frees and asks for again, hundreds of times a step."""

from __future__ import annotations

import ctypes
from functools import cache

__all__ = ["keep_freed", "release_freed"]

# Of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE, _MOST_BEFORE_2_35 = 1 << 30, 1 << 25  # bytes; older versions of glibc refuse more than the second


@cache
def keep_freed() -> None:
    """Let this process keep what it frees for what it asks for next, where its C library is glibc.

    glibc gives maps of some megabytes back to the system at once, which hands them out again page by page,
    cleared: up to a tenth of a step's time. The process then holds the most that it ever needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # The first keeps glibc from moving both by itself, so the second only where the first was taken.
    if any(mallopt(_MMAP_THRESHOLD, size) for size in (_LARGE, _MOST_BEFORE_2_35)):
        mallopt(_TRIM_THRESHOLD, _LARGE)


def release_freed() -> None:
    """Give what is freed back to the system, between two trainings: each has its own sizes, and its threads
    their own stores, which would add up. Does nothing where the C library is not glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
