"""Many pictures at once: a thread pool that reports how far it is and stops at the first error."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias, TypeVar

from smidgen.machine import cores

__all__ = ["Progress", "map_threads"]

# Called with (done, total), in the calling thread, at the start and after each batch of pictures.
Progress: TypeAlias = Callable[[int, int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Most pictures per task: enough to hide a thread's overhead for tiny ones, few enough for a live progress
# bar. Small data sets are cut finer, so that every processor gets some.
_BATCH = 16

# Tasks per thread: submitted before the oldest is done, and at least made of a small data set.
_AHEAD = 4


def map_threads(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> list[Result]:
    """Apply a function to each item in as many threads as there are processors, keeping the order.

    Decoding releases Python's lock, so threads suffice. The first error, an interrupt included, cancels
    what has not begun and is raised.
    """
    threads = cores()
    size = min(_BATCH, len(items) // (_AHEAD * threads) + 1)

    def batch(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + size]]

    results: list[Result] = []
    starts = iter(range(0, len(items), size))
    with ThreadPoolExecutor(threads, thread_name_prefix="smidgen-data") as pool:
        try:
            running = deque(pool.submit(batch, start) for start in islice(starts, _AHEAD * threads))
            _report(progress, 0, len(items))
            while running:
                results += running.popleft().result()
                running += [pool.submit(batch, start) for start in islice(starts, 1)]
                _report(progress, len(results), len(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
