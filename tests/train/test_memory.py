"""Freed memory stays with a training, and threads go where they are worth it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from smidgen.train.threads import WORTH_SHARING, WORTH_SHARING_ALONE, threads_worth

# Maps as a step of a training asks for them and frees them; prints the pages that the system gave out again.
CHILD = """
import ctypes, resource, sys
from smidgen.train.memory import keep_freed
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def step():
    maps = [libc.malloc(8 << 20) for _ in range(8)]
    for one in maps:
        libc.memset(one, 1, 8 << 20)
    for one in maps:
        libc.free(one)
if sys.argv[1] == "kept":
    keep_freed()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_again(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CHILD, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_what_a_step_frees_the_next_one_finds() -> None:
    assert pages_again("kept") < 200
    assert pages_again("as usual") > 2000


def test_a_training_alone_has_all_threads_where_one_in_a_contest_has_one() -> None:
    between = (WORTH_SHARING_ALONE + WORTH_SHARING) // 2
    assert threads_worth(between, 4, alone=True) == 4
    assert threads_worth(between, 4) == 1
    assert threads_worth(WORTH_SHARING, 4) == 4
    assert threads_worth(WORTH_SHARING_ALONE - 1, 4, alone=True) == 1
