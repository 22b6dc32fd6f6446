"""What the system's books say of a stretch of time: who had the processors, and who waited for them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from smidgen import cgroups
from smidgen.machine import processors

__all__ = ["Books", "Shares", "shares"]

MOST_WAITED = 0.05  # share of the time for which threads were ready that they had no processor
MOST_THROTTLED = 0.02  # share of the time in which a quota held the process back
LEAST_USED = 0.8  # processors, where the system keeps no books of waiting: one thread at least works

_ROOT = ""  # before the system's paths


class Books(NamedTuple):
    """Seconds since some beginning; None where this system does not tell.

    clock      of the wall
    worked     that this process had a processor, all threads together
    waited     that its threads were ready to run and had none, all together
    throttled  that its control groups were held back by a quota
    busy       that the processors that it may use worked for anybody, or were taken by a host, all together
    """

    clock: float
    worked: float
    waited: float | None
    throttled: float | None
    busy: float | None

    @staticmethod
    def now() -> Books:
        """As they stand."""
        return Books(time.perf_counter(), time.process_time(), _waited(), cgroups.throttled(_ROOT), _busy())


class Shares(NamedTuple):
    """A stretch of time between two looks at the books.

    used       processors that this process had, on average
    waited     share of the time for which its threads were ready that they spent without a processor
    throttled  share of the time in which a quota held it back
    others     of the processors that it may use, those that other work had, on average
    """

    used: float
    waited: float | None = None
    throttled: float | None = None
    others: float | None = None

    @property
    def disturbed(self) -> str | None:
        """Why what was timed meanwhile says more about the machine's other work, if it does."""
        if self.waited is not None and self.waited > MOST_WAITED:
            return (
                f"threads of the timed process waited for a processor {100 * self.waited:.0f} % of the time"
            )
        if self.throttled is not None and self.throttled > MOST_THROTTLED:
            return f"a quota held the timed process back {100 * self.throttled:.0f} % of the time"
        if self.waited is None and self.used < LEAST_USED:
            return f"the timed process had only {100 * self.used:.0f} % of a processor"
        return None


def shares(before: Books, after: Books) -> Shares:
    """What happened between two looks."""
    span, worked = max(1e-9, after.clock - before.clock), after.worked - before.worked
    waited, throttled, busy = (
        None if then is None or now is None else now - then
        for then, now in zip(before[2:], after[2:], strict=True)
    )
    return Shares(
        worked / span,
        None if waited is None else waited / max(waited + worked, 1e-9),
        None if throttled is None else throttled / span,
        None if busy is None else max(0.0, (busy - worked) / span),
    )


def _waited() -> float | None:
    """Linux keeps it for every thread: nanoseconds run, nanoseconds waited, turns (sched-stats.rst)."""
    found = [int(words[1]) for path in _proc("self/task").glob("*/schedstat") if (words := _words(path))]
    return 1e-9 * sum(found) if found else None


def _busy() -> float | None:
    """Of the processors that this process may use. A container may be shown others, under other numbers: then
    of all that are shown.

    Lines of /proc/stat: cpu0 user, nice, system, idle, iowait, irq, softirq, steal, … (proc(5))
    """
    lines = [line.split() for line in _lines(_proc("stat")) if line.startswith("cpu")]
    ticks = {line[0]: sum(map(int, (*line[1:4], *line[6:9]))) for line in lines if len(line) >= 9}
    own = [f"cpu{number}" for number in processors()]
    used = sum(map(ticks.__getitem__, own)) if ticks.keys() >= set(own) else ticks.get("cpu", 0)
    return used / os.sysconf("SC_CLK_TCK") if used else None


def _proc(name: str) -> Path:
    return Path(f"{_ROOT}/proc/{name}")


def _words(path: Path) -> list[str]:
    return next(iter(_lines(path)), "").split()


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system's; none where it is not there: a thread may just have ended."""
    with suppress(OSError):
        return path.read_text("ascii", "replace").splitlines()
    return []
