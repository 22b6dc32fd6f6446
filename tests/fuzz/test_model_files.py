"""Broken model files by the thousand; `make fuzz` does many more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.bad_ends import crash, hang, swell
from fuzz.model_files import Task, fuzz

TESTS = Path(__file__).parents[1]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(TESTS), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_two_thousand_broken_files_are_answered_or_refused_in_one_line() -> None:
    done = run("-m", "fuzz.model_files", "--count", "2000", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failures" in done.stdout
    outcomes = {line.strip().partition(" ")[2] for line in done.stdout.splitlines()}
    assert {"answered", "refused by reading", "refused by making the engine"} <= outcomes


def test_a_seed_gives_the_same_file_in_every_process() -> None:
    program = (
        "import hashlib; from fuzz.mutations import mutated\n"
        "print(hashlib.sha256(b''.join(map(mutated, range(300)))).hexdigest())"
    )
    assert len({run("-c", program, PYTHONHASHSEED=seed).stdout for seed in ("1", "2")} - {""}) == 1


@pytest.mark.parametrize(
    ("task", "bad", "reason"),
    [
        (crash, [3, 4], "the process ended with -11"),
        (hang, [5], "no end after 15 seconds"),
        (swell, [2], "MemoryError: no room"),
    ],
)
def test_a_bad_end_is_reported_with_its_seed_and_the_others_go_on(
    task: Task, bad: list[int], reason: str
) -> None:
    _, failures, _ = fuzz(0, 12, 2, task, 15)  # starting a process takes seconds on a busy machine
    assert sorted(seed for seed, _ in failures) == bad
    assert all(reason in text for _, text in failures)
