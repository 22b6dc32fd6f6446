"""The parent's side of the rivals' processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.bench.worker import receive, send
from smidgen.spec import SmidgenError

__all__ = ["RivalError", "Worker", "cold_start"]

_COMMAND = (sys.executable, "-m", "smidgen.bench.worker")
_LEAVES = 10  # seconds that a process is given to end


class RivalError(SmidgenError):
    """A rival could not do what it was asked."""


class Worker:
    """A rival with one setting, ready in a process of its own, which is stopped while nothing is asked of it.

    A stopped process (SIGSTOP) cannot take the processor from whoever is at his turn: thread pools that spin
    for a while after each call otherwise do.

    answer   what it made of `x`: float32[N, …]
    Raises   RivalError
    """

    def __init__(
        self, rival: str, artefact: Path, setting: str, threads: int, x: NDArray[np.float32]
    ) -> None:
        self._rival = rival
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([*_COMMAND, rival], stdin=pipe, stdout=pipe, stderr=self._words)
        request = {"do": "prepare", "artefact": str(artefact), "setting": setting, "threads": threads}
        try:
            _, answer = self._ask(request, x)
        except BaseException:
            self.close()
            raise
        assert answer is not None
        self.answer = answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def turn(self) -> list[float]:
        """Milliseconds of the timed calls."""
        times: list[float] = self._ask({"do": "turn"})[0]["ms"]
        return times

    def memory(self) -> tuple[int, int]:
        """Most bytes that the process has held so far, and bytes of the native libraries it has loaded."""
        found, _ = self._ask({"do": "memory"})
        return found["peak_bytes"], found["library_bytes"]

    def close(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGCONT)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        try:
            self._process.wait(_LEAVES)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()

    def _ask(
        self, message: dict[str, Any], numbers: NDArray[np.float32] | None = None
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        try:
            send(self._process.stdin, message, numbers)
            came = receive(self._process.stdout)
        except BrokenPipeError:
            came = None
        if came is None:
            raise RivalError(f"{self._rival}: its process ended ({self._last_words()})")
        if "error" in came[0]:
            raise RivalError(f"{self._rival}: {came[0]['error']}")
        self._process.send_signal(signal.SIGSTOP)
        # It stops a moment later; the next turn begins when it has. Its end is left for Popen to find.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return came

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def cold_start(request: dict[str, Any]) -> float:
    """Milliseconds from nothing to a new process's answer for one picture. Raises RivalError."""
    command = [*_COMMAND, "cold", json.dumps(request)]
    # Packages are compiled to bytecode when they are installed, sources that run in place by the first start;
    # where that is forbidden, every start would compile them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        answer = process.stdout.readline()
        took = time.perf_counter() - began
    if not answer.strip().isdigit():
        raise RivalError(f"{request['rival']}: a new process did not name the picture")
    return 1000 * took
