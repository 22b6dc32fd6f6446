"""The process of one rival: `python -m smidgen.bench.worker NAME`, or `… cold REQUEST`.

It is sent lines of JSON on standard input, of which some announce float32 numbers, and answers alike:

    {"do": "prepare", "artefact": …, "threads": …, "setting": …, "shape": …, "bytes": …} and the input
                       ->  {"shape": …, "bytes": …} and what the network makes of it
    {"do": "turn"}     ->  {"ms": […]}
    {"do": "memory"}   ->  {"peak_bytes": …, "library_bytes": …}

Where something fails it answers {"error": …}. It ends with its input. `cold` reads one picture, predicts, and
prints a line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from smidgen.bench.rivals import Rival, load
from smidgen.machine import peak_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from smidgen.bench.rivals import Call

__all__ = ["DISCARDED", "LONGEST", "TIMED", "receive", "send"]

DISCARDED, TIMED = 2, 10  # calls of a turn
LONGEST = 2.0  # seconds of a turn's discarded and of its timed calls, after which no further one begins


def send(stream: IO[bytes], message: dict[str, Any], numbers: NDArray[np.float32] | None = None) -> None:
    """Write a message, and float32 numbers of any shape after it."""
    raw = b"" if numbers is None else numbers.tobytes()
    if numbers is not None:
        message = {**message, "shape": numbers.shape, "bytes": len(raw)}
    stream.write(json.dumps(message).encode() + b"\n" + raw)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], NDArray[np.float32] | None] | None:
    """Read a message and its numbers; None at the end of the stream."""
    line = stream.readline()
    if not line:
        return None
    message = json.loads(line)
    if "bytes" not in message:
        return message, None
    import numpy as np

    raw = bytearray(stream.read(message["bytes"]))  # which, unlike bytes, may be written to
    return message, np.frombuffer(raw, np.float32).reshape(message["shape"])


def turn(call: Call, x: NDArray[np.float32]) -> list[float]:
    """Milliseconds of the timed calls, after the discarded ones."""
    _series(call, x, DISCARDED)
    return _series(call, x, TIMED)


def _series(call: Call, x: NDArray[np.float32], count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count and sum(times) < 1000 * LONGEST:
        began = time.perf_counter()
        call(x)
        times.append(1000 * (time.perf_counter() - began))
    return times


def memory(package: str) -> dict[str, int]:
    """Most memory that this process has held, and size of the package's native libraries in it."""
    from importlib import metadata, util
    from pathlib import Path

    spec = util.find_spec(package)
    homes = [Path(str(metadata.distribution(package).locate_file(package)))]
    if spec is not None and spec.origin:
        homes.append(Path(spec.origin).parent)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123
        mapped = {Path(parts[5].rstrip()) for line in maps if len(parts := line.split(None, 5)) == 6}
    own = [path for path in mapped if ".so" in path.name and any(map(path.is_relative_to, homes))]
    return {"peak_bytes": peak_memory(), "library_bytes": sum(path.stat().st_size for path in own)}


def cold(request: dict[str, Any]) -> None:
    """All that a new process does until it has named one picture."""
    from pathlib import Path

    rival = load(request["rival"])
    call = rival.prepare(Path(request["artefact"]), request["threads"], request["setting"])
    answer = call(rival.read(request["picture"], request["shape"], request["preprocess"]))
    print(int(answer.argmax()), flush=True)
    # Taking a runtime apart is no part of a cold start.
    os._exit(0)


def serve(rival: Rival, source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer until the input ends."""
    from pathlib import Path

    call: Call | None = None
    x: NDArray[np.float32] | None = None
    while (came := receive(source)) is not None:
        message, numbers = came
        try:
            if message["do"] == "prepare":
                x = numbers
                call = rival.prepare(Path(message["artefact"]), message["threads"], message["setting"])
                assert x is not None
                send(sink, {}, call(x))
            elif message["do"] == "turn":
                assert call is not None
                assert x is not None
                send(sink, {"ms": turn(call, x)})
            else:
                send(sink, memory(rival.PACKAGE))
        except Exception as error:  # whatever a foreign runtime may raise
            send(sink, {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})


def _die_with_the_parent() -> None:
    """Also where the parent is killed while this process is stopped."""
    import ctypes
    import signal

    set_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def main() -> None:
    """Serve, or start cold."""
    if sys.argv[1] == "cold":
        cold(json.loads(sys.argv[2]))
    _die_with_the_parent()
    # What a runtime prints must not stand between the messages.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(load(sys.argv[1]), sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
