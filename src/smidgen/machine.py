"""The machine that everything here runs on, and what this process has of it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cores", "held_memory", "machine_name", "memory", "peak_memory", "processor_features"]

# What kernels for networks use, these and other people's, in the system's words.
FEATURES = (
    "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve",
)  # fmt: skip


def cores() -> int:
    """Processor cores that this process may use, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory that this process may use."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
