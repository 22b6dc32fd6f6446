"""Work on many things by threads that run ahead, answered in order."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from smidgen.spec import SmidgenError

__all__ = ["in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Most pictures that a thread takes at once.
_CHUNK = 16


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """Results of the items in their order, from threads that run ahead by about `ahead` items, never more."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and arrays need none

    chunks, process = _chunks(iter(items)), os.getpid()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="smidgen-predict")

    def work(chunk: list[Item]) -> list[Result]:
        return [function(item) for item in chunk]

    try:
        running = deque(
            pool.submit(work, chunk) for chunk in islice(chunks, threads + math.ceil(ahead / _CHUNK))
        )
        while running:
            if os.getpid() != process:  # the threads stayed with the parent: nobody would ever answer
                raise SmidgenError("this stream was begun before a fork; begin a new one in the child")
            done = running.popleft().result()
            running += [pool.submit(work, chunk) for chunk in islice(chunks, 1)]
            yield from done
    finally:  # also where nobody wants the rest, or an error came
        pool.shutdown(wait=False, cancel_futures=True)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Lists that grow from one item to _CHUNK: a few photographs meet every thread, a million tiny pictures
    are handed over in few pieces.
    """
    taken = 0
    while chunk := list(islice(items, min(_CHUNK, 1 + taken // _CHUNK))):
        taken += len(chunk)
        yield chunk
