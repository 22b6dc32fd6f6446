"""The standard streams of a command: all three are there, nothing but ours comes out of them, and work
outlives its reader.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from smidgen.spec import SmidgenWarning

__all__ = ["complete", "hush", "outliving_readers", "settle"]

# For processes that are started, and for what torch has of its own.
_QUIET = {"PYTHONWARNINGS": "ignore", "TORCH_LOGS": "-all", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def complete() -> None:
    """Point what is closed at /dev/null, before the next file that is opened takes its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _silence(number, os.O_RDONLY if mode == "r" else os.O_WRONLY)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a foreign name is shown, not a reason to die
            stream.reconfigure(errors="backslashreplace")


def hush() -> None:
    """Keep what libraries warn of and log to themselves, here and in processes that are started.

    Who asked for warnings (-W, PYTHONWARNINGS) gets all of them as they are.
    """
    if sys.warnoptions:
        return
    warnings.showwarning = _show_own
    logging.getLogger().addHandler(_own_lines())  # where one is, nobody adds another
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def _show_own(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """One line of what Smidgen itself warns of."""
    if issubclass(category, SmidgenWarning):
        with contextlib.suppress(OSError):
            print(" ".join(str(message).split()), file=sys.stderr)


def _own_lines() -> logging.Handler:
    handler = logging.StreamHandler()  # standard error as it is now
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.name.split(".")[0] == "smidgen")
    return handler


class _Patient(io.FileIO):
    """A standard stream whose failure stops nobody: what cannot be written is lost, and that is said once."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    def write(self, content: Any) -> int | None:  # type: ignore[override]
        """As a file does; from the first failure on into nothing."""
        try:
            while (written := super().write(content)) is None:  # a full pipe that does not block
                select.select([], [self.fileno()], [])
            return written
        except OSError as error:
            _silence(self.fileno())
            if self.fileno() == 1:
                _tell(error)
            return len(content)


def _tell(error: OSError) -> None:
    why = "nobody reads it any more" if error.errno == errno.EPIPE else error.strerror
    with contextlib.suppress(OSError):
        print(f"standard output: {why}; the work goes on", file=sys.stderr, flush=True)


@contextlib.contextmanager
def outliving_readers() -> Iterator[None]:
    """Let the work in the block go on, whatever happens to the readers of standard output and error.

    Also for a function: `@outliving_readers()`.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_patient, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _patient(stream: TextIO) -> TextIO:
    """The same stream, but patient; one that is not the process's own stays."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream.buffer, io.BytesIO):
        return stream
    stream.flush()
    raw = io.BufferedWriter(_Patient(stream.fileno()))
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)


def settle(stream: TextIO) -> None:
    """Write out what waits in a stream; what cannot be written is dropped."""
    try:
        stream.flush()
    except OSError:
        _silence(stream.fileno())


def _silence(number: int, how: int = os.O_WRONLY) -> None:
    """Let the rest go nowhere, so that nothing fails once more at the end of the process."""
    sink = os.open(os.devnull, how)
    if sink != number:  # the system gives the lowest number that is free
        os.dup2(sink, number)
        os.close(sink)
