"""How many threads torch gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from smidgen.spec import SmidgenWarning
from smidgen.train import threads
from smidgen.train.threads import WORTH_SHARING, sharing, threads_here


@pytest.fixture
def three() -> Iterator[None]:
    """torch set to three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (64, 3)])
def test_torch_gets_no_more_threads_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, three: None, cores: int, expected: int
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    assert threads_here() == expected
    with sharing(WORTH_SHARING):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 3


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch, three: None) -> None:
    """A forked process in which torch cannot have the threads that it was set to."""
    monkeypatch.setattr(threads, "lost", lambda: True)
    monkeypatch.setattr(threads, "cores", lambda: 8)


@pytest.mark.parametrize(("macs", "asked"), [(WORTH_SHARING, None), (0, 2), (WORTH_SHARING, 3)])
def test_where_its_threads_are_lost_torch_has_one_and_says_so(
    lost: None, macs: int, asked: int | None
) -> None:
    with (
        pytest.warns(SmidgenWarning, match="one thread in this forked process") as told,
        sharing(macs, asked),
    ):
        assert torch.get_num_threads() == 1
    assert [warning.filename for warning in told] == [__file__]


def test_who_plans_with_the_threads_that_are_here_hears_that_they_are_lost(lost: None) -> None:
    with pytest.warns(SmidgenWarning, match="start it by spawn for more") as told:
        assert threads_here() == 1
    assert [warning.filename for warning in told] == [__file__]


@pytest.mark.parametrize(("macs", "asked"), [(0, None), (WORTH_SHARING, 1)])
def test_nothing_is_said_where_one_thread_would_have_been_used_anyway(
    lost: None, macs: int, asked: int | None
) -> None:
    with sharing(macs, asked):
        assert torch.get_num_threads() == 1
