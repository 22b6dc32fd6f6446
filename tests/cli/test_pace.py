"""Progress in a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.cli.pace import EVERY, Pace


class Log:
    """What was said, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.pace = Pace("steps", self.lines.append, lambda: self.now)

    def at(self, now: float, done: int, total: int) -> None:
        self.now = now
        self.pace(done, total)


def test_a_line_a_minute_says_what_is_left() -> None:
    log = Log()
    log.at(0, 0, 100)
    log.at(59, 9, 100)
    assert log.lines == []
    log.at(60, 10, 100)
    log.at(61, 11, 100)
    log.at(119, 20, 100)
    assert log.lines == ["steps: 10 of 100, about 9 min left"]  # 90 steps at 6 s each
    log.at(120, 20, 100)
    assert log.lines[1:] == ["steps: 20 of 100, about 8 min left"]


def test_what_was_done_before_a_resume_says_nothing_of_the_pace() -> None:
    log = Log()
    log.at(0, 90, 100)
    log.at(60, 91, 100)
    assert log.lines == ["steps: 91 of 100, about 9 min left"]  # not a second


def test_work_that_has_not_moved_is_told_without_a_guess() -> None:
    log = Log()
    log.at(0, 0, 5)
    log.at(70, 0, 5)
    assert log.lines == ["steps: 0 of 5"]


@pytest.mark.parametrize("seconds", [0.0, 1.0, 59.0])
def test_short_work_says_nothing(seconds: float) -> None:
    log = Log()
    log.at(0, 0, 2)
    log.at(seconds, 1, 2)
    log.at(seconds, 2, 2)
    assert log.lines == []


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_there_are_never_more_lines_than_minutes(steps: list[float]) -> None:
    log, now = Log(), 0.0
    for done, seconds in enumerate(steps):
        now += seconds
        log.at(now, done, len(steps) + 1)
    assert len(log.lines) <= now / EVERY
