"""What is renewed in a forked child."""

from __future__ import annotations

import gc
import os

import pytest

from smidgen import forks


class Counted:
    def __init__(self) -> None:
        self.renewed = 0
        forks.renew_in_children(self.renew)

    def renew(self) -> None:
        self.renewed += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_child_renews_what_lives_and_the_parent_nothing() -> None:
    one, two = Counted(), Counted()
    child = os.fork()
    if child == 0:
        os._exit(10 * one.renewed + two.renewed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    assert (one.renewed, two.renewed) == (0, 0)


def test_what_is_gone_is_not_kept() -> None:
    before = len(forks._renewing)
    one = Counted()
    assert len(forks._renewing) == before + 1
    del one
    gc.collect()
    assert len(forks._renewing) == before
