"""Watchers of long work: one that prints, one that is silent; both hear Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from smidgen.cli.output import progress, say
from smidgen.watch import Watch

__all__ = ["Quiet", "Terminal"]


class Quiet(Watch):
    """Says nothing, and lets work end in good order when somebody asks."""

    @contextlib.contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM asks; the second is heard as it was before."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def handle(_number: int, _frame: object) -> None:
            restore()
            say("stopping after this step; once more to stop at once", err=True)
            stop()

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()


class Terminal(Quiet):
    """Prints headings and news, and bars with the time left."""

    def say(self, text: str) -> None:
        """An indented line."""
        say(f"  {text}")

    def heading(self, text: str) -> None:
        """A bold line."""
        say(text, "bold")

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal."""
        with progress(label) as report:
            yield report
