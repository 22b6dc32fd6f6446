"""Progress for a log: a line a minute, with the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from smidgen.spec import about

__all__ = ["EVERY", "Pace"]

EVERY = 60.0  # seconds between two lines


class Pace:
    """Hears how far some work is, and says it once a minute. May be called from several threads.

    label  of the work
    say    takes a line
    clock  seconds, on any scale
    """

    def __init__(
        self, label: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._say, self._clock = label, say, clock
        self._lock = threading.Lock()
        self._began = self._said = clock()
        self._before: int | None = None  # done when it began, which tells nothing of the pace

    def __call__(self, done: int, total: int) -> None:
        """So much of the whole is done."""
        with self._lock:
            now = self._clock()
            if self._before is None:
                self._began, self._before = now, done
            if now - self._said < EVERY or done >= total:
                return
            self._said = now
            self._say(f"{self._label}: {done:,} of {total:,}{self._left(now, done, total)}")

    def _left(self, now: float, done: int, total: int) -> str:
        assert self._before is not None, "set by the first call"
        if done <= self._before:
            return ""
        return f", about {about((now - self._began) / (done - self._before) * (total - done))} left"
