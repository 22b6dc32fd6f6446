"""Pieces of work at the same time, as one progress, that stop in good order when somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeAlias, TypeVar

from smidgen.spec import StoppedError
from smidgen.train import CheckpointError, Interrupted, Stopwatch, TrainingError
from smidgen.watch import Watch

__all__ = ["Piece", "before_training", "together"]

Key = TypeVar("Key")
Result = TypeVar("Result")

# Called with what counts the steps that are done, and what tells whether to stop; then it raises Interrupted.
Piece: TypeAlias = Callable[[Callable[[int], None], Callable[[], bool]], Result]

LOOK = 0.2  # seconds between looks, so that signals are seen


def together(
    label: str, total: int, pieces: Mapping[Key, Piece[Result]], workers: int, watch: Watch
) -> dict[Key, Result | TrainingError]:
    """Do all pieces, `workers` at the same time; what came of each, or why it went wrong.

    total    steps of all pieces, as they count them
    Raises   Interrupted once every running piece has kept its state, or the watcher waits no longer: then
             what they have kept before counts. CheckpointError and other errors than TrainingError at once.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(workers, len(pieces)), thread_name_prefix="smidgen-work")
    with watch.stop_requests(stop.set), watch.progress(label) as report:
        steps = _Steps(report, total)
        futures = {pool.submit(piece, steps.counter(), stop.is_set): key for key, piece in pieces.items()}
        try:
            _wait(futures, stop, watch.patience)
        except BaseException as error:
            stop.set()
            ours = any(future.done() and future.exception() is error for future in futures)
            pool.shutdown(wait=ours, cancel_futures=True)  # who presses Ctrl-C twice waits for nobody
            raise
        pool.shutdown(wait=False, cancel_futures=True)
        if stop.is_set():  # also where it was heard in the last step of all
            raise Interrupted(steps.done, steps.total)
    results: dict[Key, Result | TrainingError] = {}
    for future, key in futures.items():
        failure = future.exception()
        results[key] = failure if isinstance(failure, TrainingError) else future.result()
    return results


def before_training(
    label: str, pieces: Mapping[Key, Piece[Result]], workers: int, watch: Watch
) -> dict[Key, Result | TrainingError]:
    """As `together`, for looks of one step each, of which nothing is kept. Raises StoppedError on a stop."""
    try:
        return together(label, len(pieces), pieces, workers, watch)
    except Interrupted:
        raise StoppedError("stopped before anything was trained; nothing was written") from None


def _wait(futures: Mapping[Future[Result], Key], stop: threading.Event, patience: float) -> None:
    """Wait for all, or for the patience after a request to stop; the first error that ends all is raised."""
    pending, asked = set(futures), None
    while pending:
        done, pending = wait(pending, timeout=LOOK, return_when=FIRST_EXCEPTION)
        for future in done:
            error = future.exception()
            if error is not None and _ends_all(error):
                raise error
        if stop.is_set():
            asked = asked or Stopwatch()
            if asked.seconds > patience:
                return


def _ends_all(error: BaseException) -> bool:
    if isinstance(error, TrainingError):
        return isinstance(error, CheckpointError)
    return not isinstance(error, Interrupted)


class _Steps:
    """Progress of pieces that run at the same time, as one number."""

    def __init__(self, report: Callable[[int, int], None], total: int) -> None:
        self._report, self.total, self.done = report, total, 0
        self._lock = threading.Lock()

    def counter(self) -> Callable[[int], None]:
        """Callback for one piece: so many more steps are done."""

        def add(steps: int) -> None:
            with self._lock:
                self.done += steps
                self._report(self.done, self.total)

        return add
