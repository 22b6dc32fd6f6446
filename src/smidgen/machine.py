"""The machine that everything here runs on, and what this process has of it."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from smidgen.cgroups import memory_limit, processor_quota

__all__ = [
    "cores",
    "held_memory",
    "machine_name",
    "memory",
    "peak_memory",
    "processor_features",
    "processors",
]

# What kernels for networks use, these and other people's, in the system's words.
FEATURES = (
    "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve",
)  # fmt: skip

QUOTA_LASTS = 1.0  # seconds for which a quota that was read is told again

_asked: float | None = None
_answer: float | None = None


def cores() -> int:
    """Processors that this process may use: those it is tied to, and no more than its control groups give.

    A quota of 1.5 processors counts as 2. Limits change while a process runs: what is told of a quota is at
    most QUOTA_LASTS seconds old.
    """
    tied, quota = len(processors()), _quota()
    return tied if quota is None else max(1, min(tied, math.ceil(quota)))


def processors() -> set[int]:
    """Numbers of the processors that this process is tied to, whatever a quota gives of them."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quota() -> float | None:
    """Of the control groups. Their files take as long as a small network does for a picture."""
    global _asked, _answer
    now = time.monotonic()
    if _asked is None or now - _asked >= QUOTA_LASTS:
        _asked, _answer = now, processor_quota()
    return _answer


def memory() -> int | None:
    """Bytes that this process may hold: the machine's memory, or what its control groups allow of it.

    None where the system does not tell. Asked for anew each time.
    """
    limit = memory_limit()
    installed = _installed()
    return limit if installed is None else installed if limit is None else min(installed, limit)


def _installed() -> int | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return pages * size if pages > 0 and size > 0 else None


def machine_name() -> str:
    """The processor's own name where the system tells it."""
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    import platform

    return platform.processor() or platform.machine()


def processor_features() -> list[str]:
    """Which of FEATURES the processor has; empty where the system tells nothing."""
    for line in _lines("/proc/cpuinfo"):
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            found = set(words.split())
            return [feature for feature in FEATURES if feature in found]
    return []


def held_memory() -> int | None:
    """Bytes of memory that this process holds; None where the system does not tell."""
    return _status("VmRSS")


def peak_memory() -> int:
    """Most bytes of memory that this process has held since its program began.

    The system's other book, `ru_maxrss`, begins with what the process that started this one had held.
    """
    if (peak := _status("VmHWM")) is not None:
        return peak
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(book: str) -> int | None:
    """Bytes in one of the system's books on this process."""
    for line in _lines("/proc/self/status"):
        if line.startswith(f"{book}:"):
            return 1024 * int(line.split()[1])
    return None


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text("utf-8", "replace").splitlines() if file.exists() else []
