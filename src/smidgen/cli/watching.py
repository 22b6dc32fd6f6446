"""Watchers of long work: one that prints, one that is silent; both hear who asks it to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from smidgen.cli.ending import ENDING
from smidgen.cli.output import progress, say
from smidgen.watch import Watch

__all__ = ["Quiet", "Terminal"]


class Quiet(Watch):
    """Shows how far the work is on stderr, says nothing else, and lets it end in good order when asked."""

    patience = 4.0

    @contextlib.contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        """The first request asks; the second is heard as it was before.

        What the caller of the program wants ignored, as `nohup` does, stays so. Python hears signals in its
        main thread alone: work in another one is not asked.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in ENDING}
        before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def handle(_number: int, _frame: object) -> None:
            restore()
            stop()
            # The terminal may be gone, or this very thread in the middle of a line.
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                say("stopping after this step; once more to stop at once", err=True)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line a minute in a log."""
        with progress(label) as report:
            yield report


class Terminal(Quiet):
    """Prints headings and news too."""

    def say(self, text: str) -> None:
        """An indented line."""
        say(f"  {text}")

    def heading(self, text: str) -> None:
        """A bold line."""
        say(text, "bold")
