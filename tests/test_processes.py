"""The proof of `results/processes.py`: no hang, the parent's bits, threads as asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["RESULTS"]

RESULTS = Path(__file__).parents[1] / "results"
KINDS = ["fork", "spawn", "gunicorn", "dataloader"]


def proof(kind: str, rounds: int) -> None:
    command = [sys.executable, str(RESULTS / "processes.py"), "--rounds", str(rounds), "--kinds", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{kind:12}{rounds:7}" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_five_rounds(kind: str) -> None:
    proof(kind, 5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_rounds(kind: str) -> None:
    proof(kind, 200)
