"""What the system's books say of a stretch of time: who had the processors, and who waited for them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Books", "Shares", "shares"]

MOST_WAITED = 0.05  # share of the time for which threads were ready that they had no processor
MOST_THROTTLED = 0.02  # share of the time in which a quota held the process back
LEAST_USED = 0.8  # processors, where the system keeps no books of waiting: one thread at least works

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


class Books(NamedTuple):
    """Seconds since some beginning; None where this system does not tell.

    clock      of the wall
    worked     that this process had a processor, all threads together
    waited     that its threads were ready to run and had none, all together
    throttled  that its control groups were held back by a quota
    busy       that the machine's processors worked for anybody, or were taken by its host, all together
    """

    clock: float
    worked: float
    waited: float | None
    throttled: float | None
    busy: float | None

    @staticmethod
    def now() -> Books:
        """As they stand."""
        return Books(time.perf_counter(), time.process_time(), _waited(), _throttled(), _busy())


class Shares(NamedTuple):
    """A stretch of time between two looks at the books.

    used       processors that this process had, on average
    waited     share of the time for which its threads were ready that they spent without a processor
    throttled  share of the time in which a quota held it back
    others     processors that other work had, on average
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
    found = [int(words[1]) for path in (_PROC / "self/task").glob("*/schedstat") if (words := _words(path))]
    return 1e-9 * sum(found) if found else None


def _busy() -> float | None:
    """First line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, … (proc(5))."""
    words = _words(_PROC / "stat")
    if len(words) < 9:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def _throttled() -> float | None:
    """A quota may stand at this process's group or at any above; version 2 counts µs, version 1 ns."""
    found = [seconds for path in _groups() if (seconds := _held_back(path / "cpu.stat")) is not None]
    return sum(found) if found else None


def _groups() -> Iterator[Path]:
    """Folders of the control groups, of the processor's controller, that this process is in."""
    for line in _lines(_PROC / "self/cgroup"):
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        kinds = controllers.split(",")
        if controllers and "cpu" not in kinds:
            continue
        root = _CGROUPS / ("cpu" if controllers else "")
        own = root / place.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _held_back(path: Path) -> float | None:
    rows = dict(line.split(maxsplit=1) for line in _lines(path) if " " in line)
    if "throttled_usec" in rows:
        return 1e-6 * int(rows["throttled_usec"])
    return 1e-9 * int(rows["throttled_time"]) if "throttled_time" in rows else None


def _words(path: Path) -> list[str]:
    return next(iter(_lines(path)), "").split()


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system's; none where it is not there: a thread may just have ended."""
    with suppress(OSError):
        return path.read_text("ascii", "replace").splitlines()
    return []
