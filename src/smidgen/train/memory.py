"""The memory that a training frees and asks for again, hundreds of times a step."""

from __future__ import annotations

import ctypes
from functools import cache

__all__ = ["keep_freed"]

# Of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_AS_LARGE_AS_IT_TAKES = 1 << 30  # bytes


@cache
def keep_freed() -> None:
    """Let this process keep what it frees for what it asks for next, where its C library is glibc.

    glibc gives maps of some megabytes back to the system at once, which hands them out again page by page,
    cleared: up to a tenth of a step's time. The process then holds the most that it ever needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for threshold in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(threshold, _AS_LARGE_AS_IT_TAKES)
