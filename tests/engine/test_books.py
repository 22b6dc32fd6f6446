"""The system's books, as its manuals describe them."""

from __future__ import annotations

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
    monkeypatch.setattr(books, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(books, "_CGROUPS", tmp_path / "cgroup")
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


def test_a_quota_of_version_2_counts_at_every_group_above(system: Path) -> None:
    write(
        system,
        {
            "proc/self/cgroup": "0::/pod/inner\n",
            "cgroup/pod/cpu.stat": "usage_usec 5\nthrottled_usec 1500000\n",
            "cgroup/pod/inner/cpu.stat": "nr_throttled 1\nthrottled_usec 500000\n",
        },
    )
    assert Books.now().throttled == 2.0


def test_a_quota_of_version_1_is_found_among_the_controllers(system: Path) -> None:
    write(
        system,
        {
            "proc/self/cgroup": "5:memory:/m\n3:cpu,cpuacct:/job\n0::/\n",
            "cgroup/cpu/job/cpu.stat": "nr_periods 4\nthrottled_time 250000000\n",
        },
    )
    assert Books.now().throttled == 0.25


def test_busy_is_everything_but_idle_and_waiting_for_disks(system: Path) -> None:
    write(system, {"proc/stat": "cpu  100 100 100 9999 9999 50 50 100 77 77\ncpu0 1 1\n"})
    assert Books.now().busy == pytest.approx(5.0)  # 500 ticks of a hundredth


def test_a_system_without_such_books_tells_nothing(system: Path) -> None:
    now = Books.now()
    assert (now.waited, now.throttled, now.busy) == (None, None, None)
