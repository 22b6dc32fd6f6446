"""Seconds go on where they were, and count for the stage that spent them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from smidgen.train.stopwatch import Stopwatch, Timer

PAUSE = 0.03


def test_a_clock_counts_on_top_of_what_was_before() -> None:
    clock = Stopwatch(100.0)
    time.sleep(PAUSE)
    first = clock.seconds
    assert 100 + PAUSE <= first < 101
    assert clock.seconds >= first


def test_a_restart_forgets_what_has_passed_and_keeps_what_was_before() -> None:
    clock = Stopwatch(5.0)
    time.sleep(PAUSE)
    clock.restart()
    assert 5 <= clock.seconds < 5 + PAUSE


def test_stages_add_up_each_on_its_own() -> None:
    timer = Timer()
    for _ in range(2):
        with timer("forward"):
            time.sleep(PAUSE)
    with timer("backward"):
        pass
    assert set(timer.seconds) == {"forward", "backward"}
    assert 2 * PAUSE <= timer.seconds["forward"] < 1
    assert timer.seconds["backward"] < timer.seconds["forward"]


def fail(timer: Timer) -> None:
    with timer("forward"):
        time.sleep(PAUSE)
        raise KeyError


def test_a_stage_that_fails_has_taken_its_time() -> None:
    timer = Timer()
    with pytest.raises(KeyError):
        fail(timer)
    assert timer.seconds["forward"] >= PAUSE


def test_only_getting_the_items_counts() -> None:
    def items() -> Iterator[int]:
        for number in range(3):
            time.sleep(PAUSE)
            yield number

    timer, seen = Timer(), []
    began = time.perf_counter()
    for item in timer.each("pictures", items()):
        time.sleep(4 * PAUSE)
        seen.append(item)
    whole = time.perf_counter() - began
    assert seen == [0, 1, 2]
    assert 3 * PAUSE <= timer.seconds["pictures"] <= whole - 3 * 4 * PAUSE


def test_no_items_take_no_time_and_an_error_passes() -> None:
    timer = Timer()
    assert list(timer.each("pictures", [])) == []

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(timer.each("pictures", broken()))
