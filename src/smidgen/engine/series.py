"""Milliseconds of one prediction, in this very process: series of calls, until enough of them were quiet.

`python -m smidgen.engine.series MODEL THREADS PATIENCE` times a model file and prints the answer as JSON; 0
threads are the default of `Engine`. `clock.measure` starts it, so that what is told is what a process finds
that does nothing but predict.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.engine.books import Books, Shares, shares
from smidgen.engine.engine import Engine
from smidgen.machine import cores, processors
from smidgen.spec import Shape

__all__ = ["Series", "Timing", "settled", "timed"]

Call: TypeAlias = Callable[[NDArray[np.float32]], object]
Clock: TypeAlias = Callable[[], float]
Look: TypeAlias = Callable[[], Books]

WARM_UP = 10  # calls, or so many that take a second; and so many that take WARM seconds
WARM = 0.05  # a process may begin slowly, as on a processor that was idle
FEWEST, SECONDS = 10, 0.1  # of a series
NEEDED = 5  # quiet series, the latest of them
MOST_SPREAD = 3.0  # 95th percentile over median; a quiet machine's shortest calls come to 2
MOST_OTHERS = 0.2  # of the processors that the process may use; more share caches and memory with it
MOST_APART = 1.2  # largest over smallest median of the quiet series
LONGEST = 120.0  # seconds of patience at most, however long a call takes


class Series(NamedTuple):
    """Milliseconds of calls that followed one another, and what the system's books say of them."""

    ms: tuple[float, ...]
    shares: Shares

    @property
    def median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.ms)

    @property
    def spread(self) -> float:
        """95th percentile over median."""
        return float(np.percentile(self.ms, 95)) / self.median

    @property
    def disturbed(self) -> str | None:
        """Why it says more about the machine's other work than about the model, if it does."""
        if found := self.shares.disturbed:
            return found
        if self.spread > MOST_SPREAD:
            return f"the 95th percentile was {self.spread:.1f} times the median"
        return None


class Timing(NamedTuple):
    """What is told of a call: milliseconds, and why they may be wrong, if they may."""

    median: float
    p95: float
    doubt: str | None


def settled(
    call: Call,
    shape: Shape,
    patience: float,
    clock: Clock = time.perf_counter,
    books: Look = Books.now,
    needed: int = NEEDED,
) -> Timing:
    """Time predictions of one picture until enough series were quiet and alike, and no longer than it has
    patience. What came is told then, with a doubt; one series always is.

    patience  seconds; to these it adds the time of twice as many calls as it needs, up to LONGEST in all
    needed    quiet series, the latest of them
    clock     seconds on any scale
    books     the system's, as they stand
    """
    x = np.zeros((1, *shape[:3]), np.float32)
    until = clock() + max(patience, min(LONGEST, patience + 2 * needed * FEWEST * _warm(call, x, clock)))
    found: list[Series] = []
    while not found or clock() < until:
        found.append(timed(call, x, clock, books))
        latest = [series for series in found if series.disturbed is None][-needed:]
        if len(latest) == needed and doubt(latest) is None:
            return _told(latest, None)
    return _at_last(found, needed)


def _warm(call: Call, x: NDArray[np.float32], clock: Clock) -> float:
    """Call a few times before any call counts; seconds of the quickest."""
    began, took = clock(), [math.inf]
    while (len(took) <= WARM_UP or clock() - began < WARM) and (len(took) == 1 or clock() - began < 1):
        start = clock()
        call(x)
        took.append(clock() - start)
    return min(took)


def timed(
    call: Call, x: NDArray[np.float32], clock: Clock = time.perf_counter, books: Look = Books.now
) -> Series:
    """One series: FEWEST calls at least, and SECONDS at least."""
    times: list[float] = []
    before, began = books(), clock()
    while len(times) < FEWEST or clock() - began < SECONDS:
        start = clock()
        call(x)
        times.append(1000 * (clock() - start))
    return Series(tuple(times), shares(before, books()))


def doubt(quiet: Sequence[Series]) -> str | None:
    """What speaks against NEEDED series that were quiet each by itself."""
    medians = [series.median for series in quiet]
    apart = max(medians) / min(medians)
    if apart > MOST_APART:
        return f"one series of calls took {apart:.1f} times as long as another"
    # The machine's book counts in hundredths of a second, which is coarse for a single series.
    others = [series.shares.others for series in quiet if series.shares.others is not None]
    mean, tied = statistics.fmean(others or [0.0]), len(processors())
    # Under a quota the rest of a shared host is not for this process: others may work there.
    if tied - mean < (1 - MOST_OTHERS) * cores():
        return f"other work kept {mean:.1f} of the {tied} processors busy that the process may use"
    return None


def _at_last(found: Sequence[Series], needed: int) -> Timing:
    """The best that can be told when patience is at its end."""
    quiet = [series for series in found if series.disturbed is None][-needed:]
    if not quiet:
        least = min(found, key=_disturbance)
        return _told([least], least.disturbed)
    if len(quiet) == needed:
        return _told(quiet, doubt(quiet))
    was = "was" if len(quiet) == 1 else "were"
    return _told(quiet, f"only {len(quiet)} of {len(found)} series {was} quiet, {needed} are needed")


def _disturbance(series: Series) -> tuple[float, float]:
    """What grows with how much was taken from the process: by the books, then by the clock."""
    used, waited, throttled, _ = series.shares
    return (1 - used if waited is None else waited) + (throttled or 0.0), series.spread


def _told(chosen: Sequence[Series], doubt: str | None) -> Timing:
    median, p95 = np.percentile([ms for series in chosen for ms in series.ms], [50, 95])
    return Timing(float(median), float(p95), doubt)


def main() -> None:
    """Time a model file and print what came out."""
    path, threads, patience = sys.argv[1:]
    engine = Engine(path, threads=int(threads) or None)
    timing = settled(engine, engine.network.input, float(patience), needed=1)  # other processes follow
    answer: dict[str, Any] = {"backend": engine.backend, "threads": engine.threads_of()}
    print(json.dumps(answer | timing._asdict()))


if __name__ == "__main__":
    main()
