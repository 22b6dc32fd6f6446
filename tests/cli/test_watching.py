"""Requests to stop: who is heard, and that nothing is in the way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from command_line import smidgen
from smidgen.cli.ending import ENDING
from smidgen.cli.watching import Quiet, Terminal


@pytest.mark.parametrize("number", ENDING, ids=lambda number: signal.Signals(number).name)
def test_every_word_that_ends_programs_is_a_request(number: int) -> None:
    asked: list[bool] = []
    before = {one: signal.getsignal(one) for one in ENDING}
    with Quiet().stop_requests(lambda: asked.append(True)):
        os.kill(os.getpid(), number)
        assert asked == [True]
        assert {one: signal.getsignal(one) for one in ENDING} == before  # a second one is as it was
    assert {one: signal.getsignal(one) for one in ENDING} == before


@pytest.mark.parametrize("number", ENDING, ids=lambda number: signal.Signals(number).name)
def test_what_nohup_ignores_stays_ignored(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Quiet().stop_requests(lambda: pytest.fail("nobody asked")):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_terminal_that_is_gone_does_not_keep_a_request_from_being_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    asked: list[bool] = []
    monkeypatch.setattr("smidgen.cli.watching.say", gone)
    with Quiet().stop_requests(lambda: asked.append(True)):
        os.kill(os.getpid(), signal.SIGTERM)
    assert asked == [True]


@pytest.mark.parametrize("watch", [Quiet(), Terminal()])
def test_work_in_another_thread_is_watched_too(watch: Quiet) -> None:
    """Python hears signals in the main thread alone; `signal.signal` in another one is an error."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with watch.stop_requests(lambda: None), watch.progress("work") as report:
                report(1, 2)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


def test_a_command_can_be_called_in_another_thread() -> None:
    outcomes = []

    def work() -> None:
        with contextlib.suppress(SystemExit):
            outcomes.append(smidgen("models", "squeezenet1_1", "--json"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [outcome.code for outcome in outcomes] == [0]
