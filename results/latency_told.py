"""Milliseconds that reports tell beside those that fresh processes find: is what is told what will be met?

    python results/latency_told.py --runs 20 --out results/latency_told.csv

Each run is `smidgen fit` on the digits, as `smidgen demo` writes them, with a small budget and few epochs;
its report's latency is kept. Every other one has a neighbour that keeps a core busy from beginning to end.
Then, on the machine as it is, each model is timed in ten fresh processes: `Engine(path)`, default threads,
the median of 100 calls after ten. A row a run. The bars: each latency within 1.3 times, or marked; of the
quiet runs at most one in twenty marked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rows import append, told

from smidgen.data import open_dataset, write_folder

BUDGETS = ("params=10k", "params=30k, macs=3M", "macs=1M", "params=60k")
FAMILIES = ("resnet", "shiftnet", "squeezenet", "efficientnet")
MOST, MOST_MARKED = 1.3, 1 / 20
COLUMNS = (
    "run", "network", "neighbour", "threads", "told_ms", "p95_ms", "doubt", "found_ms", "least_ms", "most_ms",
    "ratio",
)  # fmt: skip
SPIN = "while True: pass"
CALLS = """
import sys, time
import numpy
from smidgen import Engine
engine = Engine(sys.argv[1])
x, times = numpy.zeros((1, *engine.network.input[:3]), numpy.float32), []
for _ in range(110):
    began = time.perf_counter()
    engine(x)
    times.append(1000 * (time.perf_counter() - began))
print(float(numpy.median(times[10:])))
"""


class Told(NamedTuple):
    """What one report says of its latency."""

    folder: Path
    network: str
    busy: bool
    latency: dict[str, object]


def main() -> None:
    """Run them all, then time them all, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=10, help="that time each model")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="CSV to add the rows to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name, "digits")
        write_folder(open_dataset("digits"), pictures)
        runs = []
        for number in range(given.runs):
            runs.append(fitted(pictures, Path(name, f"run-{number}"), number, given.epochs))
            print(f"fit {number + 1} of {given.runs}: {runs[-1].latency}", file=sys.stderr)
        rows = [row(number, run, given.processes) for number, run in enumerate(runs)]
    for values in rows:
        print(" ".join(f"{name}={value}" for name, value in zip(COLUMNS, values, strict=True)))
        if given.out:
            append(given.out, COLUMNS, values)
    judge(rows)


def fitted(pictures: Path, folder: Path, number: int, epochs: int) -> Told:
    """One run; those with odd numbers have a neighbour."""
    turn = number // 2  # so that quiet and busy runs have the same budgets and families
    command = [
        sys.executable, "-m", "smidgen", "fit", str(pictures), "--out", str(folder), "--json",
        "--budget", BUDGETS[turn % len(BUDGETS)], "--family", FAMILIES[turn // 2 % len(FAMILIES)],
        "--epochs", str(epochs), "--seed", str(number), "--from-scratch",
    ]  # fmt: skip
    with neighbour(number % 2 == 1):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    latency = report["measured"]["latency_ms"]
    if latency is None:
        raise SystemExit(f"run {number}: not measured: {report['measured']['note']}")
    return Told(folder, report["network"]["name"], number % 2 == 1, latency)


@contextlib.contextmanager
def neighbour(there: bool) -> Iterator[None]:
    """A process that keeps a core busy, where there is one."""
    if not there:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", SPIN]) as busy:
        try:
            yield
        finally:
            busy.kill()


def row(number: int, run: Told, processes: int) -> list[object]:
    """What the report told, and what so many fresh processes found."""
    command = [sys.executable, "-c", CALLS, str(run.folder / "model.safetensors")]
    found = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(processes)
    ]
    latency, middle = run.latency, statistics.median(found)
    value = float(str(latency["value"]))
    spread = [round(ms, 4) for ms in (middle, min(found), max(found))]
    return [
        number, run.network, "busy" if run.busy else "none", latency["threads"], value, latency["p95"],
        latency["doubt"] or "", *spread, round(max(value / middle, middle / value), 3),
    ]  # fmt: skip


def judge(rows: list[list[object]]) -> None:
    """Print whether the bars hold."""
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    ratios = [float(str(ratio)) for ratio in columns["ratio"]]
    marked = [bool(doubt) for doubt in columns["doubt"]]
    unmarked = [ratio for ratio, mark in zip(ratios, marked, strict=True) if not mark]
    quiet = [mark for mark, beside in zip(marked, columns["neighbour"], strict=True) if beside == "none"]
    close = all(ratio <= MOST for ratio in unmarked)
    few = sum(quiet) <= MOST_MARKED * len(quiet)
    print(f"told over found, unmarked: {told(unmarked) if unmarked else 'none'} in {len(unmarked)} runs")
    print(f"marked: {sum(quiet)} of {len(quiet)} quiet runs, {sum(marked) - sum(quiet)} of the others")
    print(f"{'holds' if close else 'FAILS'}: every unmarked latency is within {MOST} times")
    print(f"{'holds' if few else 'FAILS'}: at most one in twenty of the quiet runs is marked")


if __name__ == "__main__":
    main()
