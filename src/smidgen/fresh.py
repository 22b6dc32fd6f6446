"""Processes of this interpreter that begin with nothing of this one."""

from __future__ import annotations

import os
import subprocess
import sys

__all__ = ["run_fresh"]


def run_fresh(*program: str, limit: float | None = None) -> subprocess.CompletedProcess[str]:
    """What a new process did and said, that imports from where we do, not from the folder that we are in.

    program  the interpreter's arguments: -m MODULE …, or -c CODE …
    limit    seconds after which it is ended
    Raises   OSError where it cannot be started; subprocess.TimeoutExpired.
    """
    return subprocess.run(
        [sys.executable or "", "-P", *program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
