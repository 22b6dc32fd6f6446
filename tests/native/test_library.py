"""Which native library is loaded, and what is said where none can be."""

from __future__ import annotations

import os
import subprocess
import sys

from smidgen import native

SHIFT = """
import torch
from smidgen.kernels import shift2d
print(shift2d(torch.ones(1, 1, 2, 2), [(1, 0, 1)]).sum())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_every_instruction_set_can_be_forced() -> None:
    for isa in native.isas():
        done = run("from smidgen import native; print(native.isa())", SMIDGEN_ISA=isa)
        assert done.stdout.strip() == isa


def test_an_instruction_set_that_is_not_here_is_refused_in_one_line() -> None:
    done = run("import sys; sys.argv = ['smidgen', 'info']; import smidgen.__main__", SMIDGEN_ISA="sse9")
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == f"SMIDGEN_ISA=sse9 is not here; set it to {' or '.join(native.isas())}, or unset it"
    )


def test_without_the_library_shifts_are_right_and_a_warning_says_why_they_are_slow() -> None:
    hide = "from smidgen.native import library; library.NAME = 'libnothing.so'\n"
    done = run(hide + SHIFT)
    assert done.stdout.strip() == "tensor(2.)"
    assert done.stderr.count("shifts run in plain torch") == 1
    assert "was not built" in done.stderr


def test_a_library_of_another_version_is_not_called() -> None:
    done = run("from smidgen.native import library; library.ABI = -1\n" + SHIFT)
    assert done.stdout.strip() == "tensor(2.)"
    assert "of another version" in done.stderr
