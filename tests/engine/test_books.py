"""The system's books, as its manuals describe them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from smidgen.engine import books
from smidgen.engine.books import Books, shares


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(books, "_ROOT", str(tmp_path))
    return tmp_path


def test_a_process_that_works_has_one_processor_and_one_that_sleeps_none() -> None:
    before = Books.now()
    time.sleep(0.05)
    idle = Books.now()
    assert shares(before, idle).used < 0.5
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert shares(idle, Books.now()).used > shares(before, idle).used


def test_waiting_is_summed_over_threads_and_held_against_their_work(system: Path) -> None:
    task = {f"proc/self/task/{n}/schedstat": f"99 {ns} 3\n" for n, ns in ((1, 10**9), (2, 2 * 10**9))}
    write(system, task)
    now = Books.now()
    assert now.waited == 3.0
    later = now._replace(clock=now.clock + 4, worked=now.worked + 3, waited=4.0)
    assert shares(now, later) == (0.75, 0.25, None, None)


def test_a_quota_holds_back_what_its_groups_tell(system: Path) -> None:
    write(
        system,
        {
            "proc/self/cgroup": "0::/pod\n",
            "proc/self/mountinfo": "41 31 0:38 / /groups rw - cgroup2 cgroup2 rw\n",
            "groups/pod/cpu.stat": "usage_usec 5\nthrottled_usec 1500000\n",
        },
    )
    assert Books.now().throttled == 1.5


STAT = "cpu  400 100 100 9999 9999 50 50 100 77 77\ncpu0 100 0 0 9 9 0 0 50\ncpu3 1 20 300 9 9 4 5 0 7 7\n"


@pytest.mark.parametrize(
    ("own", "busy"),
    [
        ({0}, 1.5),  # hundredths of a second; neither idle nor waiting for disks
        ({3}, 3.3),
        ({0, 3}, 4.8),
        ({0, 7}, 8.0),  # a container shows other numbers: then all that there are
    ],
)
def test_busy_is_work_of_the_processors_that_it_may_use(
    own: set[int], busy: float, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "processors", lambda: own)
    write(system, {"proc/stat": STAT})
    assert Books.now().busy == pytest.approx(busy * 100 / os.sysconf("SC_CLK_TCK"))


def test_a_system_without_such_books_tells_nothing(system: Path) -> None:
    now = Books.now()
    assert (now.waited, now.throttled, now.busy) == (None, None, None)
