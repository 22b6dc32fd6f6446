"""The engine's time against batch and against multiply-adds, its memory, and two engines at once.

    python results/engine_scale.py --out results/engine_scale.csv --plot results/engine_scale.png

Weights are drawn at random: the speed does not depend on them. Every row is one network at one batch: the
median and the quartiles of the calls, the bytes of the arena beside the tree's `peak_bytes`. At the end, two
engines of one thread each, alone and then in two Python threads at once.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rows import append

import smidgen
from smidgen.program import draw_weights

COLUMNS = (
    "network", "resolution", "threads", "batch", "macs", "ms", "ms_low", "ms_high", "gflops",
    "arena_bytes", "peak_bytes",
)  # fmt: skip
NAMES = [f"efficientnet_b{number}" for number in range(5)]
BATCHES = (1, 2, 4, 8, 16)


def main() -> None:
    """Time the networks and the batches, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    given = parser.parse_args()
    cases = [(name, 1) for name in NAMES] + [(NAMES[0], batch) for batch in BATCHES[1:]]
    points = {case: measured(*case, given.threads, given.calls, given.out) for case in cases}
    draw(points, given.threads, given.plot)
    together(given.calls)


def engine_of(name: str, threads: int) -> smidgen.Engine:
    """An engine with random weights."""
    network = smidgen.network(name)
    return smidgen.Engine((network, draw_weights(network)), threads=threads)


def measured(name: str, batch: int, threads: int, calls: int, out: Path) -> tuple[int, float]:
    """Add a row; gives multiply-adds of the whole batch and the median milliseconds."""
    engine = engine_of(name, threads)
    network, cost = engine.network, engine.network.cost()
    times = sorted(timed(engine, batch, calls))
    ms, (low, _, high) = statistics.median(times), statistics.quantiles(times, n=4)
    row = (
        name, network.input.height, threads, batch, cost.macs, round(ms, 3), round(low, 3), round(high, 3),
        round(2e-6 * cost.macs * batch / ms, 1), engine.arena_bytes(), cost.peak_bytes,
    )  # fmt: skip
    append(out, COLUMNS, row)
    print(*row, flush=True)
    return cost.macs * batch, ms


def timed(engine: smidgen.Engine, batch: int, calls: int) -> list[float]:
    """Milliseconds of each call."""
    x = np.random.default_rng(0).normal(size=(batch, *engine.network.input[:3])).astype(np.float32)
    times = []
    for _ in range(calls + 2):
        start = time.perf_counter()
        engine(x)
        times.append(1000 * (time.perf_counter() - start))
    return times[2:]


def together(calls: int) -> None:
    """Two engines of one thread each: what each takes alone, and beside the other."""
    engines = [engine_of(NAMES[0], 1) for _ in range(2)]
    alone = statistics.median(timed(engines[0], 1, calls))
    found: list[float] = []
    threads = [threading.Thread(target=lambda one=one: found.extend(timed(one, 1, calls))) for one in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both = statistics.median(found)
    print(f"two engines of one thread: {alone:.2f} ms alone, {both:.2f} ms at once, ratio {both / alone:.2f}")


def draw(points: dict[tuple[str, int], tuple[int, float]], threads: int, path: Path) -> None:
    """Time against multiply-adds: the networks, and the batches of the smallest."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    networks = [points[name, 1] for name in NAMES]
    batches = [points[NAMES[0], batch] for batch in BATCHES]
    for which, label, color in (
        (networks, "B0 … B4, batch 1", "#2a78d6"),
        (batches, f"B0, batch {BATCHES[0]} … {BATCHES[-1]}", "#c9501c"),
    ):
        macs = [1e-9 * macs for macs, _ in which]
        axes.plot(macs, [ms for _, ms in which], "o-", color=color, label=label)
    for name, (macs, ms) in zip(NAMES, networks, strict=True):
        axes.annotate(name[-2:].upper(), (1e-9 * macs, ms), textcoords="offset points", xytext=(6, -10))
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="multiply-adds, billions",
        ylabel=f"milliseconds, {threads} threads",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.tick_params(which="minor", labelsize=7)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
