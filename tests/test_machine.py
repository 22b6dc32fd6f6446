"""What this process is told about the machine."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smidgen.machine import cores, held_memory, machine_name, peak_memory, processor_features

MEBIBYTE = 2**20

HOLDS = f"""
import subprocess, sys
from smidgen.machine import peak_memory
held = b"x" * (300 * {MEBIBYTE})
print(peak_memory())
del held
print(peak_memory(), flush=True)
program = "from smidgen.machine import peak_memory; print(peak_memory())"
subprocess.run([sys.executable, "-c", program], check=True)
"""


def test_the_peak_is_kept_and_no_process_inherits_it() -> None:
    done = subprocess.run([sys.executable, "-c", HOLDS], capture_output=True, text=True, check=True)
    held, after, child = map(int, done.stdout.split())
    assert min(held, after) > 300 * MEBIBYTE  # the book is kept to some pages
    assert child < 100 * MEBIBYTE < max(held, after) < 400 * MEBIBYTE


def test_the_books_of_a_system_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = peak_memory()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert peak_memory() >= by_proc // 2
    assert held_memory() is None
    assert machine_name()
    assert processor_features() == []


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a system that ties processes to cores"
)
def test_the_cores_are_those_of_this_process() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert cores() == len(before)


@pytest.mark.skipif(held_memory() is None, reason="the system keeps no such books")
def test_what_is_held_grows_and_shrinks() -> None:
    before = held_memory() or 0
    held = mmap.mmap(-1, 200 * MEBIBYTE)  # from the system itself: an allocator may have some left
    for page in range(0, len(held), mmap.PAGESIZE):
        held[page] = 1
    assert (held_memory() or 0) > before + 150 * MEBIBYTE
    held.close()
    assert (held_memory() or 0) < before + 150 * MEBIBYTE
