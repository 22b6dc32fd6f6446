"""What one prediction takes on this machine: milliseconds by the clock, bytes by the system's books.

Both are measured in a fresh process each, which does nothing but predict. A process that has trained holds
other threads, other memory and other libraries, and none of them will be there when the model is used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from smidgen.machine import machine_name

__all__ = ["measure", "measure_memory"]

PATIENCE = 6.0  # seconds in which the machine may become quiet
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
    """Milliseconds of one picture in a fresh process, as the report has them; or None and the reason.

    The machine has PATIENCE to become quiet; the figure of one that does not bears a doubt.

    path     model file
    threads  that a prediction uses; default: as `Engine` has it
    limit    seconds after which the attempt is given up
    """
    program = ("-m", "smidgen.engine.series", str(path.absolute()), str(threads or 0), str(PATIENCE))
    try:
        found = _fresh(program, limit)
        row = {
            "value": round(found["median"], 4),
            "p95": round(found["p95"], 4),
            "device": _device(found["backend"]),
            "precision": "fp32",
            "threads": found["threads"],
            "doubt": found["doubt"],
        }
    except _UnmeasuredError as reason:
        return None, f"latency: {reason}"
    return row, None


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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable or "", "-P", *program],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=True,
        )
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
