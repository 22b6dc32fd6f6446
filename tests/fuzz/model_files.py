"""Load model files that are wrong in every way, and call what loads: an answer, or one line of refusal.

    make fuzz
    PYTHONPATH=tests python -m fuzz.model_files --first 4711 --count 1     a failure again

Whatever else happens is a failure and is reported with its seed: another exception, a warning, a process that
ends, more seconds or more memory than a file may take.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np

from fuzz.mutations import mutated
from smidgen import Engine, modelfile
from smidgen.graph import cost
from smidgen.machine import peak_memory
from smidgen.spec import Shape, ShapeError, SmidgenError

__all__ = ["fuzz"]

SECONDS = 60.0  # for one file, on a busy machine
ADDRESSES = 8 * 2**30  # bytes of address space of a process
RESIDENT = 2**30  # bytes of memory of a process, whatever it has met
OPERATIONS = 2 * 10**7  # in a call; a network that needs more is loaded, but not run
NUMBERS = 2**16  # of the input of a call

# How often each outcome came, failures with their seeds, and the seconds that the slowest file took.
Report = tuple[Counter[str], list[tuple[int, str]], float]

# What is done with a seed and a place for its file; returns the outcome.
Task = Callable[[int, Path], str]


def one_file(seed: int, path: Path) -> str:
    """What comes of the file of a seed: `answered`, or who refuses it.

    Raises   what nothing may raise.
    """
    path.write_bytes(mutated(seed))
    stage = "reading"
    try:
        file = modelfile.read(path)
        stage = "making the engine"
        engine = Engine(file, threads=1 + seed % 2)
        stage = "the call"
        shape = file.network.input
        if shape.numel > NUMBERS:
            shape = Shape(shape.channels, min(shape.height, 16), min(shape.width, 16))
        needed = cost(file.network.tree, shape)
        if shape.numel > NUMBERS or needed.macs + needed.elementwise > OPERATIONS:
            return "too large to run here"
        x = np.random.default_rng(seed).normal(size=(1 + seed % 3, *shape[:3])).astype(np.float32)
        if engine(x).shape[0] != len(x):
            raise AssertionError("answers are missing")
    except SmidgenError as error:
        text = str(error)
        if not text.isprintable() or not 0 < len(text) < 1000:
            raise AssertionError(f"a message that is not one short line: {text[:300]!r}") from None
        if stage == "the call" and not isinstance(error, ShapeError):
            raise
        return f"refused by {stage}"
    return "answered"


def work(task: Task, seeds: range, current: Synchronized[int], results: Connection) -> None:
    """Do the files of some seeds, and report every now and then."""
    faulthandler.enable()
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for done, seed in enumerate(seeds, 1):
            current.value = seed
            start, failures = time.monotonic(), []
            try:
                outcomes[task(seed, Path(folder, "model.safetensors"))] += 1
            except BaseException:  # a failure is what this looks for
                failures.append((seed, traceback.format_exc(limit=-4)))
            slowest = max(slowest, time.monotonic() - start)
            if failures or done % 100 == 0 or done == len(seeds):
                resident = peak_memory()
                if resident > RESIDENT:
                    failures.append((seed, f"{resident / 2**20:,.0f} MiB of memory, at this file or before"))
                results.send((outcomes, failures, slowest))
                outcomes = Counter()
                if resident > RESIDENT:
                    return
    results.close()


@dataclass
class Worker:
    """A process, the seeds that it still has to do, and when it was last seen to begin another."""

    seeds: range
    current: Synchronized[int]
    process: BaseProcess
    results: Connection
    seen: int = -1
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, task: Task, seeds: range) -> Worker:
        context = multiprocessing.get_context("spawn")
        results, sender = context.Pipe(duplex=False)
        current: Synchronized[int] = context.Value("q", seeds.start)
        process = context.Process(target=work, args=(task, seeds, current, sender), daemon=True)
        process.start()
        sender.close()
        return cls(seeds, current, process, results)

    def hangs(self, seconds: float) -> bool:
        if self.current.value != self.seen:
            self.seen, self.since = self.current.value, time.monotonic()
        return time.monotonic() - self.since > seconds

    def rest(self) -> range:
        """The seeds after the one at which it ended."""
        return range(self.current.value + self.seeds.step, self.seeds.stop, self.seeds.step)


def fuzz(first: int, count: int, jobs: int, task: Task = one_file, seconds: float = SECONDS) -> Report:
    """Do the files of `count` seeds in `jobs` processes."""
    outcomes: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    slowest = 0.0
    shares = [range(first + job, first + count, jobs) for job in range(min(jobs, count))]
    workers = [Worker.start(task, seeds) for seeds in shares]
    while workers:
        wait([worker.results for worker in workers], timeout=1)
        for worker in list(workers):
            ended = False
            try:
                while worker.results.poll():
                    some, found, longest = worker.results.recv()
                    outcomes += some
                    failures += found
                    slowest = max(slowest, longest)
            except EOFError:
                ended = True
            hangs = not ended and worker.hangs(seconds)
            if not ended and not hangs:
                continue
            workers.remove(worker)
            if hangs:
                worker.process.kill()
                failures.append((worker.current.value, f"no end after {seconds:g} seconds"))
            worker.process.join()
            if not hangs and worker.process.exitcode:
                failures.append((worker.current.value, f"the process ended with {worker.process.exitcode}"))
            if worker.rest():
                workers.append(Worker.start(task, worker.rest()))
    return outcomes, failures, slowest


def main() -> int:
    """0 where every file was answered or refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100_000, help="files")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    chosen = parser.parse_args()
    start = time.monotonic()
    outcomes, failures, slowest = fuzz(chosen.first, chosen.count, chosen.jobs)
    for seed, text in failures[:20]:
        print(f"seed {seed}: {text}", file=sys.stderr)
    for outcome, number in outcomes.most_common():
        print(f"{number:8,} {outcome}")
    print(f"{len(failures):8,} failures")
    took = time.monotonic() - start
    print(f"{chosen.count:,} files in {took:.0f} s; the slowest took {slowest:.1f} s")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
