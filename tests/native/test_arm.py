"""The native library on a 64-bit ARM processor: compiled by a cross compiler, run by an emulator.

apt-get install g++-aarch64-linux-gnu qemu-user
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from native.programs import build

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"

lacking = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(lacking),
        reason=f"no {' and no '.join(lacking)}: apt-get install g++-aarch64-linux-gnu qemu-user",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arm")
    build(
        folder,
        CMAKE_SYSTEM_NAME="Linux",
        CMAKE_SYSTEM_PROCESSOR="aarch64",
        CMAKE_CXX_COMPILER=COMPILER,
        SMIDGEN_CHECKS="ON",
    )
    return folder


@pytest.mark.parametrize("program", ["shift_check", "engine_check", "softmax_check", "norm_check"])
def test_neon_computes_what_the_definition_says(folder: Path, program: str) -> None:
    command = [EMULATOR, "-L", "/usr/aarch64-linux-gnu", str(folder / program), "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "neon (of neon): 200 cases, 0 failures\n"
