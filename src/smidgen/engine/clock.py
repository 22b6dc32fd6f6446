"""What one prediction takes on this machine: milliseconds by the clock, bytes by the system's books."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.engine.engine import Engine
from smidgen.machine import cores, machine_name
from smidgen.spec import Shape

__all__ = ["Timing", "clock", "measure", "measure_memory"]

WARM_UP = 10
CALLS = 100
TRIES = 3  # series, until one was quiet
MOST_SPREAD = 2.0  # 95th percentile over median, above which something else ran beside it
LEAST_SHARE = 0.8  # of one core's time, below which something else held it
MEMORY_LIMIT = 5.0  # seconds for the process that is metered

METERED = (
    "growth of a fresh process's peak resident memory, libraries already imported, "
    "while it loads the model file and predicts one picture; the library code that this brings in counts"
)
# The peak is the most that was held so far, and writing 5 to clear_refs starts it again from where it is now.
# The plain maximum would hide a small model behind what importing numpy has taken and given back.
_CHILD = """
import sys
import numpy
from smidgen import Engine
from smidgen.machine import held_memory, peak_memory
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = held_memory()
engine = Engine(sys.argv[1], threads=int(sys.argv[2]))
engine(numpy.zeros((1, *engine.network.input[:3]), numpy.float32))
print(peak_memory() - before)
"""


class Timing(NamedTuple):
    """One series of calls.

    median, p95  milliseconds
    share        processor time of the process over time by the clock; one busy thread makes it 1
    """

    median: float
    p95: float
    share: float

    @property
    def disturbed(self) -> str | None:
        """Why the series says more about the machine's other work than about the model, if it does."""
        if self.p95 > MOST_SPREAD * self.median:
            return f"the 95th percentile was {self.p95 / self.median:.1f} times the median"
        if self.share < LEAST_SHARE:
            return f"the process had only {100 * self.share:.0f} % of a core"
        return None


def measure(engine: Engine, tries: int = TRIES) -> tuple[dict[str, Any] | None, str | None]:
    """The latency of the first quiet series, or None and the reason, where the machine was busy each time.

    A series is quiet where its 95th percentile is at most MOST_SPREAD medians and the process had at least
    LEAST_SHARE of a core's time.
    """
    reason = ""
    for _ in range(tries):
        timing = clock(engine, engine.network.input)
        if timing.disturbed is None:
            return _row(timing, engine), None
        reason = timing.disturbed
    return None, f"latency: the machine was busy in each of {tries} series; in the last, {reason}"


def clock(call: Callable[[NDArray[np.float32]], object], shape: Shape) -> Timing:
    """Time CALLS predictions of one picture of that shape."""
    x = np.zeros((1, *shape[:3]), np.float32)
    times = []
    for _ in range(WARM_UP):
        call(x)
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(CALLS):
        start = time.perf_counter()
        call(x)
        times.append(1000 * (time.perf_counter() - start))
    share = (time.process_time() - worked) / (time.perf_counter() - began)
    median, p95 = np.percentile(times, [50, 95])
    return Timing(float(median), float(p95), share)


def _row(timing: Timing, engine: Engine) -> dict[str, Any]:
    return {
        "value": round(timing.median, 4),
        "p95": round(timing.p95, 4),
        "device": _device(engine.backend),
        "precision": "fp32",
        "threads": engine.threads,
    }


def measure_memory(
    path: Path, backend: str, limit: float = MEMORY_LIMIT
) -> tuple[dict[str, Any] | None, str | None]:
    """Memory that predicting one picture with a model file adds to a process, or None and the reason.

    backend  of an engine in a process like this one
    limit    seconds after which the attempt is given up
    """
    command = [sys.executable, "-P", "-c", _CHILD, str(path.absolute()), str(cores())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if not Path("/proc/self/clear_refs").exists():
        return None, "memory: this system does not tell a process's peak"
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=True
        )
        value = int(done.stdout)
    except subprocess.TimeoutExpired:
        return None, f"memory: the metered process took more than {limit:g} s"
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None, "memory: the metered process did not finish"
    return {"value": value, "what": METERED, "device": _device(backend), "precision": "fp32"}, None


def _device(backend: str) -> str:
    return f"{machine_name()}, smidgen's engine on {backend}"
