"""Tasks that do not end well, for the tests of what must notice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

__all__ = ["crash", "hang", "swell"]


def crash(seed: int, _path: Path) -> str:
    if seed in (3, 4):
        os.kill(os.getpid(), signal.SIGSEGV)
    return "fine"


def hang(seed: int, _path: Path) -> str:
    if seed == 5:
        time.sleep(3600)
    return "fine"


def swell(seed: int, _path: Path) -> str:
    if seed == 2:
        raise MemoryError("no room")
    return "fine"
