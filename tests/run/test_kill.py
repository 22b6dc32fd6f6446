"""A `fit` that is killed at random moments and resumed ends with the weights of one that never was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen import modelfile
from tiny_set import shapes

OPTIONS = ["--budget", "params=20k", "--epochs", "150", "--seed", "3", "--checkpoint-every", "0.05"]
OPTIONS += ["--family", "resnet", "--family", "shiftnet"]
KILLS = 20


def smidgen(*arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "smidgen", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def weights(run: Path) -> dict[str, NDArray[Any]]:
    return dict(modelfile.read(run / "model.safetensors").tensors)


def newest(run: Path) -> str:
    """What the newest checkpoint of the run is called, with its place."""
    return max((str(path) for path in run.glob("**/checkpoints/0*")), key=os.path.getmtime, default="")


def killed(run: Path, command: list[str], pause: float) -> bool:
    """Start, wait until the training has moved on, and so long on top; whether there was anything to kill."""
    before, process = newest(run), smidgen(*command)
    while process.poll() is None and newest(run) == before:
        time.sleep(0.01)
    time.sleep(pause)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.slow
def test_twenty_kills_change_no_bit(tmp_path: Path) -> None:
    """With augmentation, moving average, and a teacher where published weights are installed."""
    data = str(shapes(tmp_path / "tiny", per_class=12, side=24))
    whole, run = tmp_path / "whole", tmp_path / "killed"
    assert smidgen("fit", data, *OPTIONS, "--out", str(whole)).wait() == 0
    moments = random.Random(5)
    command = ["fit", data, *OPTIONS, "--out", str(run)]
    for _ in range(KILLS):
        assert killed(run, command, moments.uniform(0, 0.5)), "the run was over too soon"
        command = ["resume", str(run)]
    assert smidgen(*command).wait() == 0
    expected, found = weights(whole), weights(run)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
