"""Shift against depthwise in the engine: the two networks of shift_depthwise.py, and larger ones, in turns.

    python results/engine_shift.py --out results/engine_shift.csv

Time does not depend on the weights, which are drawn at random. Ratios are of the medians of two turns of the
same round; the least and the most of the rounds stand beside their median.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import numpy as np
from rows import append
from shift_depthwise import depthwise_twin

import smidgen
from smidgen.bench.worker import turn
from smidgen.program import draw_weights

COLUMNS = (
    "network", "resolution", "batch", "threads", "shift_ms", "depthwise_ms", "ratio", "ratio_low",
    "ratio_high", "shift_params", "depthwise_params", "shift_macs", "depthwise_macs", "isa", "load",
)  # fmt: skip
CASES = (
    ("shiftresnet20_e1", 28), ("shiftresnet20_e3", 28), ("shiftresnet20_e6", 28), ("shiftresnet20_e3", 32),
    ("shiftresnet20_e6", 32), ("shiftnet_b", 224),
)  # fmt: skip


def main() -> None:
    """Every network at every batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for name, resolution in CASES:
        for batch in given.batches:
            for threads in given.threads:
                if resolution < 224 or batch == 1:
                    one(name, resolution, batch, threads, given.rounds, given.out)


def one(name: str, resolution: int, batch: int, threads: int, rounds: int, out: Path) -> None:
    """Add the row of one pair."""
    shift = smidgen.network(name, num_classes=10, resolution=resolution)
    pair = [shift, depthwise_twin(shift)]
    engines = [smidgen.Engine((network, draw_weights(network)), threads=threads) for network in pair]
    x = np.random.default_rng(0).normal(size=(batch, *shift.input[:3])).astype(np.float32)
    turns = [[statistics.median(turn(engine, x)) for engine in engines] for _ in range(rounds)]
    ratios = sorted(mine / other for mine, other in turns)
    costs = [network.cost() for network in pair]
    row = (
        name, resolution, batch, threads,
        *(round(statistics.median(series), 4) for series in zip(*turns, strict=True)),
        round(statistics.median(ratios), 3), round(ratios[0], 3), round(ratios[-1], 3),
        *(cost.params for cost in costs), *(cost.macs for cost in costs),
        engines[0].backend, round(os.getloadavg()[0], 2),
    )  # fmt: skip
    append(out, COLUMNS, row)
    print(*row, flush=True)


if __name__ == "__main__":
    main()
