"""Which series of calls are believed, and what is told where none is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.engine import series
from smidgen.engine.books import Shares
from smidgen.engine.series import NEEDED, Series, doubt, settled, timed
from smidgen.spec import Shape

QUIET = Shares(1.0, 0.0, 0.0, 0.0)
SHAPE = Shape(3, 5, 4)


def of(ms: float, shares: Shares = QUIET, spread: float = 1.0) -> Series:
    """Ten calls of so many milliseconds, the longest of them `spread` times as long."""
    return Series((ms,) * 8 + (ms * spread,) * 2, shares)


class Slow:
    """Sleeps a known time, every tenth call four times as long."""

    def __init__(self) -> None:
        self.calls = 0
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, x: NDArray[np.float32]) -> None:
        assert x.dtype == np.float32
        self.shapes.add(x.shape)
        self.calls += 1
        time.sleep(0.016 if self.calls % 10 == 0 else 0.004)


def test_a_series_holds_the_times_of_its_calls_and_what_they_used() -> None:
    model = Slow()
    found = timed(model, np.zeros((1, 3, 5, 4), np.float32))
    assert len(found.ms) == model.calls >= 10
    assert sum(ms >= 16 for ms in found.ms) == model.calls // 10
    assert found.median >= 4
    assert found.shares.used < 0.5  # asleep, it uses no processor


def test_warm_up_and_series_take_one_picture_of_the_shape() -> None:
    model = Slow()
    settled(model, SHAPE, patience=0.0)
    assert model.shapes == {(1, 3, 5, 4)}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (of(1, spread=3.0), None),
        (of(1, Shares(2.0, 0.05, 0.02, 9.0)), None),  # two threads, and others on other processors
        (of(1, spread=3.2), "the 95th percentile was 3.2 times the median"),
        (
            of(1, Shares(2.0, 0.3, 0.0)),
            "threads of the timed process waited for a processor 30 % of the time",
        ),
        (of(1, Shares(1.0, 0.0, 0.4)), "a quota held the timed process back 40 % of the time"),
        (of(1, Shares(0.79)), "the timed process had only 79 % of a processor"),
        (of(1, Shares(0.5, 0.0)), None),  # it slept, and waited for nobody
    ],
)
def test_the_rule_for_a_quiet_series(found: Series, reason: str | None) -> None:
    assert found.disturbed == reason


@pytest.mark.parametrize(
    ("others", "medians", "reason"),
    [
        (0.3, (1.0, 1.0, 1.1, 1.2, 1.0), None),
        (0.3, (1.0, 1.0, 1.1, 1.3, 1.0), "one series of calls took 1.3 times as long as another"),
        (0.5, (1.0,) * 5, "other work kept 0.5 of the machine's 2 processors busy"),
    ],
)
def test_series_must_be_alike_and_the_machine_free(
    others: float, medians: tuple[float, ...], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert doubt([of(ms, Shares(1.0, 0.0, 0.0, others)) for ms in medians]) == reason


def scripted(monkeypatch: pytest.MonkeyPatch, script: Iterator[Series]) -> None:
    monkeypatch.setattr(series, "timed", lambda _call, _x: next(script))


def test_disturbed_series_are_left_out_of_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = of(9, Shares(1.0, 0.5))
    scripted(monkeypatch, iter([busy, *[of(2)] * 3, busy, *[of(2)] * (NEEDED - 3)]))
    assert settled(lambda _: None, SHAPE, patience=60) == (2.0, 2.0, None)


def test_it_goes_on_until_the_latest_series_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, iter([of(4), of(3), of(2.2), *[of(2)] * NEEDED]))
    median, _, reason = settled(lambda _: None, SHAPE, patience=60)
    assert (median, reason) == (2.0, None)


def test_where_none_was_quiet_the_least_disturbed_is_told_with_its_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = iter([of(5, Shares(1.0, 0.6)), of(3, Shares(1.0, 0.2)), of(4, Shares(1.0, 0.5))])

    def last(_call: object, _x: object) -> Series:
        time.sleep(0.2)
        return next(found)

    monkeypatch.setattr(series, "timed", last)
    median, _, reason = settled(lambda _: None, SHAPE, patience=0.5)
    assert (median, reason) == (3.0, "threads of the timed process waited for a processor 20 % of the time")


def test_without_patience_one_series_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, iter([of(7)]))
    assert settled(lambda _: None, SHAPE, patience=0.0) == (7.0, 7.0, None)
