"""A watcher that keeps the news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from smidgen.watch import Watch

__all__ = ["Heard"]


class Heard(Watch):
    """What was said, what was begun and how far it came; asks for a stop once so many steps are done."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.lines: list[str] = []
        self.headings: list[str] = []
        self.reports: list[tuple[int, int]] = []
        self.stop_after = stop_after

    def say(self, text: str) -> None:
        """Keep the line."""
        self.lines.append(text)

    def heading(self, text: str) -> None:
        """Keep the heading."""
        self.headings.append(text)

    @contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        """Remember whom to ask."""
        self.stop = stop
        yield

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Keep every report; stages are told apart by their order."""
        del label

        def report(done: int, total: int) -> None:
            self.reports.append((done, total))
            if done == self.stop_after:
                self.stop()

        yield report
