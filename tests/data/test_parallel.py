import threading

import pytest

from smidgen.data.parallel import map_threads


def test_results_keep_the_order() -> None:
    assert map_threads(lambda n: n * n, range(1000)) == [n * n for n in range(1000)]


def test_nothing_to_do_is_done_at_once() -> None:
    calls: list[tuple[int, int]] = []
    assert map_threads(str, [], lambda done, total: calls.append((done, total))) == []
    assert calls == [(0, 0)]


def test_the_first_error_stops_the_rest() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 5:
            raise KeyError(number)

    with pytest.raises(KeyError, match="5"):
        map_threads(work, range(1_000_000))
    assert len(begun) < 1_000


def test_an_interrupt_in_the_progress_stops_the_rest() -> None:
    begun: list[int] = []

    def progress(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_threads(begun.append, range(1_000_000), progress)
    assert len(begun) < 1_000


def test_progress_is_reported_in_the_calling_thread() -> None:
    threads = set()

    def progress(done: int, total: int) -> None:
        threads.add(threading.current_thread())

    map_threads(str, range(100), progress)
    assert threads == {threading.current_thread()}
