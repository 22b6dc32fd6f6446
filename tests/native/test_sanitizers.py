"""The native kernels and the engine under sanitizers, in programs without Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from native.programs import build
from smidgen import native

PROGRAMS = ["shift_check", "engine_check", "softmax_check", "norm_check", "fork_check"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("address")
    build(folder, SMIDGEN_SANITIZE="address")
    return folder


@pytest.fixture(scope="module")
def thread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thread")
    build(folder, SMIDGEN_SANITIZE="thread")
    return folder


def check(program: Path, isa: str, cases: int) -> None:
    """Let the program draw so many cases on an instruction set."""
    done = subprocess.run(
        [str(program), str(cases)],
        env=os.environ | {"SMIDGEN_ISA": isa, "TSAN_OPTIONS": "die_after_fork=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert done.stdout.startswith(isa)
    assert done.stdout.endswith(f"{cases} cases, 0 failures\n")


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_touched_that_is_not_ones_own(address: Path, program: str, isa: str) -> None:
    check(address / program, isa, 200)


def test_the_product_multiplies_integers_with_an_element_kind_of_its_own(address: Path) -> None:
    done = subprocess.run(
        [str(address / "product_check"), "300"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert done.stdout == "300 cases, 0 failures\n"


@pytest.mark.slow
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_two_threads_touch_the_same_at_once(thread: Path, program: str, isa: str) -> None:
    check(thread / program, isa, 60)
