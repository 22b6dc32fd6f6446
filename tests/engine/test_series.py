"""Which series of calls are believed, and what is told where none is."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.engine import series
from smidgen.engine.books import Books, Shares
from smidgen.engine.series import FEWEST, NEEDED, Series, Timing, doubt, settled, timed
from smidgen.spec import Shape

QUIET = Shares(1.0, 0.0, 0.0, 0.0)
SHAPE = Shape(3, 5, 4)


def of(ms: float, shares: Shares = QUIET, spread: float = 1.0) -> Series:
    """Ten calls of so many milliseconds, the longest of them `spread` times as long."""
    return Series((ms,) * 8 + (ms * spread,) * 2, shares)


class Machine:
    """A model, clock and books without a machine: a call takes `seconds`, each tenth twice as long.

    used     processors that the process has
    waited   share of its time for which its threads wait for one
    """

    def __init__(self, seconds: float, used: float = 1.0, waited: float = 0.0) -> None:
        self.seconds, self.used, self.waited = seconds, used, waited
        self.now, self.calls = 0.0, 0
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, x: NDArray[np.float32]) -> None:
        assert x.dtype == np.float32
        self.shapes.add(x.shape)
        self.calls += 1
        self.now += self.seconds * (2 if self.calls % 10 == 0 else 1)

    def clock(self) -> float:
        return self.now

    def books(self) -> Books:
        return Books(self.now, self.used * self.now, self.waited * self.now, 0.0, self.used * self.now)

    def settled(self, patience: float) -> Timing:
        return settled(self, SHAPE, patience, self.clock, self.books)


def test_a_series_holds_the_times_of_its_calls_and_what_they_used() -> None:
    model = Machine(0.004, used=0.25)
    found = timed(model, np.zeros((1, 3, 5, 4), np.float32), model.clock, model.books)
    assert len(found.ms) == model.calls == 23  # 21 of 4 ms and two of 8 are 0.1 s
    assert sum(ms > 7 for ms in found.ms) == 2
    assert found.median == pytest.approx(4)
    assert found.shares.used == pytest.approx(0.25)


def test_by_the_systems_clock_and_books_a_series_is_as_long_as_its_calls() -> None:
    before = time.perf_counter()
    found = timed(lambda _: None, np.zeros((1, 3, 5, 4), np.float32))
    assert len(found.ms) >= 10
    assert 0 < sum(found.ms) < 1000 * (time.perf_counter() - before)


def test_warm_up_and_series_take_one_picture_of_the_shape() -> None:
    model = Machine(0.004)
    model.settled(0.0)
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
        (0.5, (1.0,) * 5, "other work kept 0.5 of the 2 processors busy that the process may use"),
    ],
)
def test_series_must_be_alike_and_the_machine_free(
    others: float, medians: tuple[float, ...], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, tied=2, cores=2)
    assert doubt([of(ms, Shares(1.0, 0.0, 0.0, others)) for ms in medians]) == reason


def given(monkeypatch: pytest.MonkeyPatch, tied: int, cores: int) -> None:
    monkeypatch.setattr(series, "processors", lambda: set(range(tied)))
    monkeypatch.setattr(series, "cores", lambda: cores)


@pytest.mark.parametrize(
    ("tied", "cores", "others", "doubtful"),
    [
        (64, 2, 12.8, False),  # a quota of two on a host that is 20 % busy
        (64, 2, 62.0, False),
        (64, 2, 63.0, True),  # one is left, where it may use two
        (64, 64, 12.0, False),
        (64, 64, 13.0, True),
        (2, 2, 0.5, True),  # two processors of a larger machine, whose others are not looked at
    ],
)
def test_other_work_counts_by_what_it_leaves_of_what_the_process_may_use(
    tied: int, cores: int, others: float, doubtful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, tied, cores)
    found = doubt([of(1, Shares(1.0, 0.0, 0.0, others))] * NEEDED)
    assert (found is not None) == doubtful


def scripted(monkeypatch: pytest.MonkeyPatch, script: Sequence[Series], patience: float) -> Timing:
    """What is told of these series, each of which takes a second."""
    now, left = 0.0, iter(script)

    def one(*_: object) -> Series:
        nonlocal now
        now += 1
        return next(left)

    monkeypatch.setattr(series, "timed", one)
    monkeypatch.setattr(series, "WARM", 0.0)  # this clock stands still while it warms up
    return settled(lambda _: None, SHAPE, patience, lambda: now)


def test_disturbed_series_are_left_out_of_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = of(9, Shares(1.0, 0.5))
    script = [busy, *[of(2)] * 3, busy, *[of(2)] * (NEEDED - 3)]
    assert scripted(monkeypatch, script, 60) == (2.0, 2.0, None)


def test_it_goes_on_until_the_latest_series_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    median, _, reason = scripted(monkeypatch, [of(4), of(3), of(2.2), *[of(2)] * NEEDED], 60)
    assert (median, reason) == (2.0, None)


def test_where_none_was_quiet_the_least_disturbed_is_told_with_its_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = [of(5, Shares(1.0, 0.6)), of(3, Shares(1.0, 0.2)), of(4, Shares(1.0, 0.5))]
    median, _, reason = scripted(monkeypatch, script, 3)
    assert (median, reason) == (3.0, "threads of the timed process waited for a processor 20 % of the time")


@pytest.mark.parametrize("quiet", range(1, NEEDED))
def test_fewer_quiet_series_than_are_needed_are_told_with_a_doubt(
    quiet: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [of(9, Shares(1.0, 0.5))] * 40 + [of(2)] * quiet
    median, _, reason = scripted(monkeypatch, script, len(script))
    assert median == 2.0
    assert reason
    assert reason.startswith(f"only {quiet} of {len(script)} series w")


def test_without_patience_one_series_is_told_with_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scripted(monkeypatch, [of(7)], 0) == (7.0, 7.0, "only 1 of 1 series was quiet, 5 are needed")


@pytest.mark.parametrize("seconds", [0.001, 0.12, 0.5, 1.0])
def test_a_slow_model_on_a_quiet_machine_is_told_without_a_doubt(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, tied=4, cores=4)
    told = Machine(seconds).settled(6.0)
    assert told.doubt is None
    assert told.median == pytest.approx(1000 * seconds)


def test_patience_with_a_disturbed_model_ends_however_slow_it_is() -> None:
    model = Machine(60.0, waited=0.5)
    assert model.settled(6.0).doubt
    assert model.calls <= 2 + FEWEST
