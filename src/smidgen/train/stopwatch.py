"""Where the time of a training goes."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["Stopwatch", "Timer"]

T = TypeVar("T")


class Stopwatch:
    """Seconds since the start, on top of those before a resume."""

    def __init__(self, before: float = 0.0) -> None:
        self._before = before
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """What it shows."""
        return self._before + time.perf_counter() - self._began

    def restart(self) -> None:
        """Count on from where it was set, without the time that has passed since."""
        self._began = time.perf_counter()


class Timer:
    """Seconds by stage. On a GPU these are the processor's: work that it only hands over counts elsewhere."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of the block for the stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time that it takes to get each counts for the stage."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
