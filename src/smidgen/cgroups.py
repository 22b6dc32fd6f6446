"""What this process's control groups, such as those of a container, let it have of the machine.

A limit of a group holds for the groups below it, too. Both versions may be mounted side by side, each with
some of the controllers. Paths are plain text: this is asked for often.

Source   docs.kernel.org: admin-guide/cgroup-v2.html, admin-guide/cgroup-v1/memory.html,
         scheduler/sched-bwc.html; cgroups(7), proc_pid_mountinfo(5)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

__all__ = ["memory_limit", "processor_quota", "throttled"]

# Version 1 has no word for no limit: it writes the largest number of whole pages.
UNLIMITED = 2**63 - 2**20


def processor_quota(root: str = "") -> float | None:
    """Processors' worth of time that the groups give in each period; None where none of them limits it.

    root  before /proc and the mount points, where they are others than the system's
    """
    quotas = (
        _quota_v2(group) if not controller else _quota_v1(group) if controller == "cpu" else None
        for controller, group in _groups(root, "cpu")
    )
    return min((quota for quota in quotas if quota), default=None)


def memory_limit(root: str = "") -> int | None:
    """Bytes that the groups let their processes hold; None where none of them limits it."""
    limits = (
        _number(f"{group}/{name}")
        for controller, group in _groups(root, "memory")
        for name in (("memory.limit_in_bytes",) if controller else ("memory.max", "memory.high"))
    )
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED), default=None)


def throttled(root: str = "") -> float | None:
    """Seconds for which quotas have held the groups back, all together; None where no group tells."""
    found = (_held_back(f"{group}/cpu.stat") for _, group in _groups(root, "cpu"))
    told = [seconds for seconds in found if seconds is not None]
    return sum(told) if told else None


def _held_back(path: str) -> float | None:
    """Version 2 counts microseconds, version 1 nanoseconds."""
    rows = dict(line.split(maxsplit=1) for line in _text(path).splitlines() if " " in line)
    if "throttled_usec" in rows:
        return 1e-6 * int(rows["throttled_usec"])
    return 1e-9 * int(rows["throttled_time"]) if "throttled_time" in rows else None


def _quota_v2(group: str) -> float | None:
    """From `50000 100000`, microseconds of each period; or `max 100000`."""
    quota, _, period = _text(f"{group}/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_v1(group: str) -> float | None:
    quota = _number(f"{group}/cpu.cfs_quota_us")
    period = _number(f"{group}/cpu.cfs_period_us") if quota else None
    return quota / period if quota and period else None


def _groups(root: str, controller: str) -> Iterator[tuple[str, str]]:
    """Folders of the groups that this process is in: of the controller of version 1, and of version 2,
    whose one tree has "" for a controller.
    """
    places = _places(root)
    for mounted, base, point in _mounts(root):
        for name in {"", controller} & mounted & places.keys():
            group = _inside(point, base, places[name])
            yield name, group
            while group != point:
                group = group.rpartition("/")[0]
                yield name, group


def _inside(point: str, base: str, place: str) -> str:
    """Folder of the group `place`, where the mount point shows the group `base`.

    A container may be told a place that its own mount does not show: then the mount itself is its group.
    """
    below = os.path.relpath(place, base)
    group = point if below == "." else f"{point}/{below}"
    return group if ".." not in group.split("/") and os.path.isdir(group) else point  # noqa: PTH112


def _places(root: str) -> dict[str, str]:
    """Where in each controller's tree this process is.

    Lines such as `4:cpu,cpuacct:/a/b`, of version 2 `0::/a/b`.
    """
    lines = (line.split(":", 2) for line in _text(f"{root}/proc/self/cgroup").splitlines())
    return {name: line[2] for line in lines if len(line) == 3 for name in line[1].split(",")}


def _mounts(root: str) -> Iterator[tuple[set[str], str, str]]:
    """Controllers, group and mount point of each mounted tree.

    Lines such as `33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`.
    """
    for line in _text(f"{root}/proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - ")
        if not source.startswith("cgroup"):
            continue
        kind, _, options = source.split(" ", 2)
        base, point = map(_unescaped, mount.split(" ")[3:5])
        yield {""} if kind == "cgroup2" else set(options.split(",")), base, root + point


def _unescaped(text: str) -> str:
    """Blanks and the like are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text) if "\\" in text else text


def _number(path: str) -> int | None:
    """The number in a file; None for `max`, `-1` and where there is none."""
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: str) -> str:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # not there, or not for us to read
        return ""
    try:
        return os.fsdecode(b"".join(iter(lambda: os.read(file, 2**16), b""))).strip()
    except OSError:  # a group that has gone meanwhile
        return ""
    finally:
        os.close(file)
