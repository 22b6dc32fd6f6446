"""Quotas of control groups: trees like the system's, and real groups where this process may make some."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smidgen import machine
from smidgen.cgroups import memory_limit, processor_quota, throttled

V2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
HIGHEST = "9223372036854771712"


def system(root: Path, cgroup: str, mounts: list[str], files: dict[str, str]) -> str:
    """A root with these groups; returns it as a path."""
    described = {"proc/self/cgroup": cgroup + "\n", "proc/self/mountinfo": "\n".join(mounts) + "\n"}
    for name, text in (described | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_a_group_of_version_2_is_bound_by_those_around_it(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/pod/container"
    files = {
        f"{group}/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
        f"{group}/memory.max": "max\n",
        f"{group}/memory.high": "3000000\n",
        "sys/fs/cgroup/pod/memory.max": "2000000\n",
    }
    root = system(tmp_path, "0::/pod/container", [V2], files)
    assert processor_quota(root) == 1.5
    assert memory_limit(root) == 2_000_000


def test_a_group_of_version_1_has_its_controllers_apart(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/b/memory.limit_in_bytes": "1000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": HIGHEST + "\n",
    }
    root = system(tmp_path, "4:memory:/b\n1:cpu,cpuacct:/a\n0::/", [V1_CPU, V1_MEMORY], files)
    assert processor_quota(root) == 0.5
    assert memory_limit(root) == 1_000_000


def test_time_held_back_is_summed_over_the_groups_around(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/pod/cpu.stat": "usage_usec 5\nthrottled_usec 1500000\n",
        "sys/fs/cgroup/pod/inner/cpu.stat": "nr_throttled 1\nthrottled_usec 500000\n",
    }
    assert throttled(system(tmp_path, "0::/pod/inner", [V2], files)) == 2


def test_time_held_back_by_version_1_is_found_wherever_the_controller_is_mounted(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat": "nr_periods 4\nthrottled_time 250000000\n",
        "sys/fs/cgroup/memory/m/cpu.stat": "throttled_time 99000000000\n",
    }
    cgroup = "5:memory:/m\n3:cpu,cpuacct:/job\n0::/"
    assert throttled(system(tmp_path, cgroup, [V1_CPU, V1_MEMORY], files)) == 0.25


@pytest.mark.parametrize("place", ["/docker/7f", "/../other"])
def test_a_place_that_the_container_does_not_see_is_its_mount(tmp_path: Path, place: str) -> None:
    root = system(tmp_path, f"0::{place}", [V2], {"sys/fs/cgroup/cpu.max": "200000 100000\n"})
    assert processor_quota(root) == 2


def test_a_mount_may_show_a_group_from_within(tmp_path: Path) -> None:
    mount = "33 31 0:30 /docker/7f /groups\\040here rw - cgroup cgroup rw,cpu"
    files = {
        "groups here/inner/cpu.cfs_quota_us": "300000\n",
        "groups here/inner/cpu.cfs_period_us": "100000\n",
    }
    assert processor_quota(system(tmp_path, "1:cpu:/docker/7f/inner", [mount], files)) == 3


@pytest.mark.parametrize("text", ["max 100000", "", "100000", "50000 0", "-1 100000", "many few"])
def test_what_is_no_quota_limits_nothing(tmp_path: Path, text: str) -> None:
    root = system(tmp_path, "0::/", [V2], {"sys/fs/cgroup/cpu.max": text})
    assert processor_quota(root) is None


def test_nothing_limits_where_there_are_no_groups(tmp_path: Path) -> None:
    assert processor_quota(str(tmp_path)) is None
    assert memory_limit(str(tmp_path)) is None
    assert throttled(str(tmp_path)) is None
    files = {"sys/fs/cgroup/memory/memory.limit_in_bytes": HIGHEST}
    assert memory_limit(system(tmp_path, "4:memory:/", [V1_MEMORY], files)) is None


@pytest.mark.parametrize(("quota", "cores"), [(0.1, 1), (1.0, 1), (1.2, 2), (64.0, 4), (None, 4)])
def test_a_quota_rounds_up_and_adds_no_core(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(machine, "_asked", None)
    monkeypatch.setattr(machine, "processor_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert machine.cores() == cores


def test_a_quota_is_read_once_a_second_and_then_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    quotas, now = iter([1.0, 3.0]), 100.0
    monkeypatch.setattr(machine, "_asked", None)
    monkeypatch.setattr(machine, "processor_quota", lambda: next(quotas))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("smidgen.machine.time.monotonic", lambda: now)
    assert [machine.cores() for _ in range(99)] == [1] * 99
    now += machine.QUOTA_LASTS
    assert machine.cores() == 3


def test_memory_is_what_is_installed_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit, memory in ((None, installed), (2**20, 2**20), (2**60, installed)):
        monkeypatch.setattr(machine, "memory_limit", lambda limit=limit: limit)
        assert machine.memory() == memory


# ── real groups ──────────────────────────────────────────────────────────────────────────────────────

ASKS = """
import sys
from smidgen.machine import cores, memory
sys.stdin.readline()
print(cores(), memory())
"""


@pytest.fixture
def groups() -> Iterator[dict[str, Path]]:
    """A group of version 1 below each controller's root, with one inside; removed at the end."""
    made: dict[str, Path] = {}
    try:
        for controller in ("cpu", "memory"):
            inner = Path(f"/sys/fs/cgroup/{controller}/smidgen-test-{os.getpid()}/inner")
            try:
                if not (Path(f"/sys/fs/cgroup/{controller}/cgroup.procs")).exists():
                    pytest.skip("no control groups of version 1 here")
                inner.parent.mkdir()
                made[controller] = inner
                inner.mkdir()
            except OSError as error:
                pytest.skip(f"this process may make no control groups: {error}")
        yield made
    finally:
        for inner in made.values():
            for group in (inner, inner.parent):
                if group.exists():
                    _remove(group)


def _remove(group: Path) -> None:
    """A process leaves its group a moment after its end."""
    for _ in range(100):
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.05)
    return group.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_a_process_in_real_groups_has_what_they_give(groups: dict[str, Path]) -> None:
    (groups["cpu"].parent / "cpu.cfs_quota_us").write_text("70000")
    (groups["memory"] / "memory.limit_in_bytes").write_text(str(2**29))
    command = [sys.executable, "-c", ASKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for inner in groups.values():
            (inner / "cgroup.procs").write_text(str(process.pid))
        told, _ = process.communicate("\n")
    assert told.split() == ["1", str(2**29)]
