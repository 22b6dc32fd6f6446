"""What one prediction takes on this machine: milliseconds by the clock, bytes by the system's books.

Both are measured in fresh processes, which do nothing but predict. A process that has trained holds
other threads, other memory and other libraries, and none of them will be there when the model is used.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smidgen.fresh import run_fresh
from smidgen.machine import machine_name

__all__ = ["measure", "measure_memory"]

PROCESSES, FEWEST = 9, 3  # that are timed, and where ENOUGH seconds have gone into it
ENOUGH = 12.0
PATIENCE = 1.0  # seconds in which the machine may become quiet, in each
LIMIT = 120.0  # seconds for a process that measures, and thrice that for the one that times many calls

METERED = (
    "growth of a fresh process's peak resident memory, libraries already imported, "
    "while it loads the model file and predicts one picture; the library code that this brings in counts"
)
# The peak is the most that was held so far, and writing 5 to clear_refs starts it again from where it is now.
# The plain maximum would hide a small model behind what importing numpy has taken and given back.
_METER = """
import json
import sys
import numpy
from smidgen import Engine
from smidgen.machine import held_memory, peak_memory
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = held_memory()
engine = Engine(sys.argv[1], threads=int(sys.argv[2]) or None)
engine(numpy.zeros((1, *engine.network.input[:3]), numpy.float32))
print(json.dumps({"value": peak_memory() - before, "backend": engine.backend}))
"""


class _UnmeasuredError(Exception):
    """Why there is no figure."""


def measure(
    path: Path, threads: int | None = None, limit: float = 3 * LIMIT
) -> tuple[dict[str, Any] | None, str | None]:
    """Milliseconds of one picture in fresh processes, as the report has them; or None and the reason.

    Where a process finds its processor and its pages differs from one to the next, and so does the time of
    small networks, by up to a factor of two. So PROCESSES are timed, one after the other, fewer where that
    takes long. Told is the middle one of those that were quiet. Where most were disturbed, it bears a doubt.

    path     model file
    threads  that a prediction uses; default: as `Engine` has it
    limit    seconds after which the attempt is given up
    """
    program = ("-m", "smidgen.engine.series", str(path.absolute()), str(threads or 0), str(PATIENCE))
    began = time.monotonic()
    found: list[dict[str, Any]] = []
    try:
        while len(found) < FEWEST or (len(found) < PROCESSES and time.monotonic() - began < ENOUGH):
            found.append(_fresh(program, limit))
    except _UnmeasuredError as reason:
        return None, f"latency: {reason}"
    median, p95, doubt = _middle(found)
    row = {
        "value": round(median, 4),
        "p95": round(max(median, p95), 4),
        "device": _device(found[0]["backend"]),
        "precision": "fp32",
        "threads": found[0]["threads"],
        "doubt": doubt,
    }
    return row, None


def _middle(found: Sequence[Mapping[str, Any]]) -> tuple[float, float, str | None]:
    """Median, 95th percentile and doubt of what the processes found: of the quiet ones, or where there are
    none of all.
    """
    quiet = [one for one in found if one["doubt"] is None]
    disturbed = [one["doubt"] for one in found if one["doubt"] is not None]
    chosen = quiet or found
    doubt = None
    if len(disturbed) >= len(quiet):
        few = f"only {len(quiet)}" if quiet else "none"
        doubt = f"{few} of {len(found)} processes found the machine quiet; in the first, {disturbed[0]}"
    middle = (statistics.median(one[name] for one in chosen) for name in ("median", "p95"))
    return next(middle), next(middle), doubt


def measure_memory(
    path: Path, threads: int | None = None, limit: float = LIMIT
) -> tuple[dict[str, Any] | None, str | None]:
    """Memory that predicting one picture with a model file adds to a process, or None and the reason.

    Arguments as those of `measure`.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None, "memory: this system does not tell a process's peak"
    try:
        found = _fresh(("-c", _METER, str(path.absolute()), str(threads or 0)), limit)
    except _UnmeasuredError as reason:
        return None, f"memory: {reason}"
    device = _device(found["backend"])
    return {"value": found["value"], "what": METERED, "device": device, "precision": "fp32"}, None


def _fresh(program: tuple[str, ...], limit: float) -> dict[str, Any]:
    """What a new process answers, of this interpreter and with these paths. Raises _UnmeasuredError."""
    try:
        done = run_fresh(*program, limit=limit)
        done.check_returncode()
        found: dict[str, Any] = json.loads("".join(done.stdout.splitlines()[-1:]))
    except subprocess.TimeoutExpired:
        raise _UnmeasuredError(f"the measuring process took more than {limit:g} s") from None
    except OSError as error:
        raise _UnmeasuredError(f"no process could be started ({error.strerror or error})") from None
    except subprocess.CalledProcessError as error:
        words = (error.stderr or "").strip().splitlines() or [f"exit code {error.returncode}"]
        raise _UnmeasuredError(f"the measuring process did not finish ({words[-1]:.200})") from None
    except ValueError:
        raise _UnmeasuredError("the measuring process gave no figure") from None
    return found


def _device(backend: str) -> str:
    return f"{machine_name()}, smidgen's engine on {backend}"
