"""How long work tells somebody where it is; the command line prints it, a library user may not care."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

__all__ = ["Watch"]


class Watch:
    """Silent watcher; subclasses show what they are told.

    patience  seconds that work which was asked to stop may take to keep its state; who waits no longer goes
              back to the last state that was kept
    """

    patience: float = math.inf

    def say(self, text: str) -> None:
        """One line of news."""

    def heading(self, text: str) -> None:
        """A new stage begins."""

    @contextlib.contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `stop` is called when somebody asks the work to end (Ctrl-C, SIGTERM)."""
        yield

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Yield report(done, total) for one piece of long work."""
        yield lambda _done, _total: None
