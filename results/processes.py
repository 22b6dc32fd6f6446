"""Nothing hangs after a fork, answers are the parent's bit by bit, and threads are as many as asked for.

    python results/processes.py --rounds 200

In the parent torch has trained on several threads, the engine has been called, and a thread goes on calling
it with changing sizes. Then, so many rounds each:

    fork        a process by `multiprocessing`: it calls the engine, and trains as its parent has done
    spawn       a new process by `multiprocessing`, which gets the engine as a pickle
    gunicorn    a request to one of two workers of a preloaded application; workers are replaced on the way
    dataloader  a torch DataLoader whose two forked workers call the engine

A round that takes longer than the limit is killed and counts as a hang. Prints a table; the exit code is 1
where anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import numpy as np

import smidgen
from smidgen.program import draw_weights

NETWORK, SIZES = "shiftresnet20_e3", range(24, 64, 4)  # more sizes than the engine keeps plans for
WORKERS, REQUESTS = 2, 20  # of gunicorn; after so many requests a worker is replaced
Answer = tuple[str, int]  # the bits' hash, and how many threads worked


@dataclass
class Count:
    """What happened in the rounds of one kind."""

    rounds: int = 0
    hangs: int = 0
    wrong: int = 0
    threads: set[int] = field(default_factory=set)
    processes: set[int] = field(default_factory=set)

    def add(self, answer: Answer | None, expected: str, process: int) -> None:
        """One process's answer; None where it hung."""
        self.processes.add(process)
        if answer is None:
            self.hangs += 1
            return
        self.wrong += answer[0] != expected
        self.threads.add(answer[1])

    def failed(self, rounds: int, threads: int) -> bool:
        """Whether anything went wrong."""
        return bool(self.hangs or self.wrong) or self.threads != {threads} or self.rounds != rounds


def made_engine(threads: int) -> smidgen.Engine:
    """A small engine; the same everywhere."""
    network = smidgen.network(NETWORK, num_classes=10, c_in=3, resolution=32)
    return smidgen.Engine((network, draw_weights(network)), threads=threads)


def pictures(size: int = 32) -> Any:
    """float32[3, 3, size, size], the same everywhere."""
    return np.random.default_rng(size).normal(size=(3, 3, size, size)).astype(np.float32)


def hashed(engine: smidgen.Engine) -> str:
    """The bits of its answers at two sizes."""
    return hashlib.sha256(engine(pictures()).tobytes() + engine(pictures(40)).tobytes()).hexdigest()


def worked() -> dict[str, int]:
    """Nanoseconds that each of the library's own threads in this process has run."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            if (task / "comm").read_text().strip() == "smidgen":
                found[task.name] = int((task / "schedstat").read_text().split()[0])
    return found


def busy_threads(engine: smidgen.Engine) -> int:
    """How many threads work on its calls, the caller's among them."""
    engine(pictures())
    before, x = worked(), pictures()
    for _ in range(200):
        engine(x)
        after = worked()
        if all(after[task] > before.get(task, 0) for task in after):
            break
    return 1 + sum(after[task] > before.get(task, 0) for task in after)


def answer(engine: smidgen.Engine) -> Answer:
    """What a process finds."""
    return hashed(engine), busy_threads(engine)


def trained(engine: smidgen.Engine, threads: int) -> str:
    """Some steps of torch on several threads; the bits of what they end with."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = smidgen.create(engine.network).train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    x = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
    return hashlib.sha256(
        torch.cat([one.flatten() for one in model.parameters()]).detach().numpy()
    ).hexdigest()


@contextlib.contextmanager
def called_meanwhile(engine: smidgen.Engine) -> Iterator[None]:
    """Let a thread call the engine with changing sizes."""
    stop = threading.Event()

    def call() -> None:
        for size in itertools.cycle(SIZES):
            if stop.is_set():
                return
            engine(pictures(size))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# ── the four kinds ───────────────────────────────────────────────────────────────────────────────────


def child(engine: smidgen.Engine, trains: str, sink: Connection) -> None:
    """What a started process does: answers, and trains as the parent has done."""
    found = answer(engine)
    if trains and trained(engine, engine.threads) != trains:
        found = ("the training is another one", found[1])
    sink.send(found)


def started(method: str, arguments: tuple[object, ...], limit: float) -> tuple[Answer | None, int]:
    """One round of a process of its own: what it finds, None where it hangs, and its number."""
    context: Any = multiprocessing.get_context(method)
    source, sink = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(*arguments, sink))
    process.start()
    sink.close()
    found = None
    with contextlib.suppress(EOFError):
        found = source.recv() if source.poll(limit) else None
    process.join(limit if found else 0)
    if process.exitcode is None:
        process.kill()
        process.join()
        found = None
    return found, process.pid


def by_fork(engine: smidgen.Engine, expected: str, rounds: int, limit: float, count: Count) -> None:
    """Forked processes."""
    trains = trained(engine, engine.threads)
    for count.rounds in range(1, rounds + 1):
        found, process = started("fork", (engine, trains), limit)
        count.add(found, expected, process)


def by_spawn(engine: smidgen.Engine, expected: str, rounds: int, limit: float, count: Count) -> None:
    """New processes."""
    for count.rounds in range(1, rounds + 1):
        found, process = started("spawn", (engine, ""), limit)
        count.add(found, expected, process)


class Answers:
    """A data set for a DataLoader: each item is what its worker finds."""

    def __init__(self, engine: smidgen.Engine) -> None:
        self.engine = engine

    def __len__(self) -> int:
        return 2 * WORKERS

    def __getitem__(self, index: int) -> tuple[Answer, int]:
        return answer(self.engine), os.getpid()


def by_dataloader(engine: smidgen.Engine, expected: str, rounds: int, limit: float, count: Count) -> None:
    """DataLoaders, each with new workers."""
    from torch.utils.data import DataLoader

    for count.rounds in range(1, rounds + 1):
        loader: Iterable[Any] = DataLoader(
            Answers(engine),  # type: ignore[arg-type]
            batch_size=None,
            num_workers=WORKERS,
            multiprocessing_context="fork",
            timeout=limit,
        )
        try:
            for found, process in loader:
                count.add(found, expected, process)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            count.add(None, expected, 0)


def application(threads: int) -> Callable[..., list[bytes]]:
    """The application that gunicorn loads before it forks. Its thread stays behind in the master."""
    engine = made_engine(threads)
    expected = hashed(engine)
    trained(engine, threads)
    called_meanwhile(engine).__enter__()

    def app(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps([*answer(engine), expected, os.getpid()]).encode()]

    return app


def by_gunicorn(engine: smidgen.Engine, expected: str, rounds: int, limit: float, count: Count) -> None:
    """Requests to workers of gunicorn. A worker that does not come to its end has hung, too."""
    with tempfile.TemporaryFile("w+") as words:
        with served(engine.threads, limit, words) as address:
            for count.rounds in range(1, rounds + 1):
                try:
                    with urllib.request.urlopen(address, timeout=limit) as reply:
                        bits, threads, its_own, process = json.load(reply)
                    count.add((bits if bits == its_own else "not the master's", threads), expected, process)
                except OSError as error:
                    print(error, file=sys.stderr)
                    count.add(None, expected, 0)
        words.seek(0)
        said = words.read()
    sys.stderr.write(said)
    count.hangs += said.count("TIMEOUT") + said.count("stopped by force")


@contextlib.contextmanager
def served(threads: int, limit: float, words: IO[str]) -> Iterator[str]:
    """Address of a running gunicorn, which writes its complaints to `words`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS)]
    command += ["--bind", f"127.0.0.1:{port}", "--max-requests", str(REQUESTS), "--timeout", str(int(limit))]
    command += ["--graceful-timeout", str(int(2 * limit)), "--log-level", "warning", "--no-control-socket"]
    command += ["--chdir", str(Path(__file__).parent), f"{Path(__file__).stem}:application({threads})"]
    process = subprocess.Popen(command, stderr=words, start_new_session=True)
    try:
        await_port(port, limit, process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            words.write("stopped by force\n")


def await_port(port: int, limit: float, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens there."""
    until = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("gunicorn did not come up")


KINDS = {"fork": by_fork, "spawn": by_spawn, "gunicorn": by_gunicorn, "dataloader": by_dataloader}


def main() -> None:
    """All rounds, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a round may take")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    engine = made_engine(given.threads)
    expected = hashed(engine)
    trained(engine, given.threads)
    failures = []
    print(f"{'':12}{'rounds':>7}{'hangs':>7}{'wrong':>7}  {'threads':9}{'processes':>9}{'seconds':>9}")
    for kind in given.kinds:
        count, began = Count(), time.monotonic()
        with called_meanwhile(engine):
            KINDS[kind](engine, expected, given.rounds, given.limit, count)
        print(row(kind, count, time.monotonic() - began), flush=True)
        if count.failed(given.rounds, given.threads):
            failures.append(kind)
    print(f"failed: {', '.join(failures)}" if failures else f"all as {given.threads} threads were asked for")
    sys.exit(bool(failures))


def row(kind: str, count: Count, seconds: float) -> str:
    """A line of the table."""
    threads = ", ".join(map(str, sorted(count.threads)))
    numbers = f"{count.rounds:7}{count.hangs:7}{count.wrong:7}"
    return f"{kind:12}{numbers}  {threads:9}{len(count.processes):9}{seconds:9.0f}"


if __name__ == "__main__":
    main()
