"""The native kernels under the address and undefined-behaviour sanitizers, in a program without Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smidgen import native

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    cmake = Path(sys.executable).with_name("cmake")
    subprocess.run(
        [cmake, "-S", ROOT, "-B", folder, "-DSMIDGEN_SANITIZE=ON"], check=True, capture_output=True
    )
    subprocess.run([cmake, "--build", folder], check=True, capture_output=True)
    return folder / "shift_check"


@pytest.mark.parametrize("isa", native.isas())
def test_no_kernel_touches_memory_that_is_not_its_own(program: Path, isa: str) -> None:
    done = subprocess.run(
        [program, "200"], env=os.environ | {"SMIDGEN_ISA": isa}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(isa)
    assert done.stdout.endswith("200 cases, 0 failures\n")
