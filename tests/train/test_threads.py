"""How many threads torch gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

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


def test_where_its_threads_are_lost_torch_has_one_and_says_so(
    monkeypatch: pytest.MonkeyPatch, three: None
) -> None:
    monkeypatch.setattr(threads, "lost", lambda: True)
    with sharing(WORTH_SHARING):
        assert torch.get_num_threads() == 1
    with pytest.warns(RuntimeWarning, match="one thread in this forked process"), sharing(0, asked=2):
        assert torch.get_num_threads() == 1
