"""Milliseconds that a device file predicts beside those that are measured, for networks it has not seen.

    python results/latency.py --networks 40 --out results/latency.csv --plot results/latency.png

Measures this machine as `smidgen info --measure` does (or reads --device), then draws other networks of all
families, with other widths, depths, pictures and classes, and times each whole, in several rounds of which
the quietest counts, as in the device file. At last, budgets of milliseconds: the largest networks inside are
solved for and timed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rows import append

from smidgen import families
from smidgen.scaling import device as device_file
from smidgen.scaling.device import Device
from smidgen.scaling.measure import drawn_networks, measure_device, quietest
from smidgen.scaling.on_device import solve_on
from smidgen.spec import Budget

COLUMNS = ("network", "family", "device", "threads", "predicted_ms", "measured_ms", "steps_ms", "budget_ms")
SEED = 77  # other than that of the device file
WITHIN = 0.10


def main() -> None:
    """Measure, predict, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--budgets", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    given = parser.parse_args()
    device = device_file.read(given.device) if given.device else measure_device(given.threads)
    drawn = drawn_networks(SEED)
    networks = [next(drawn) for _ in range(given.networks)]
    pairs = []
    for network, best in zip(networks, quietest(networks, device.threads), strict=True):
        predicted, steps = device.predicted_ms(network), sum(ms for _, ms in best.steps)
        pairs.append((predicted, best.ms))
        values = (network.name, network.family, str(device), device.threads, predicted, best.ms, steps, "")
        append(given.out, COLUMNS, values)
    conclude(np.array(pairs))
    print(f"budgets: {kept(device, given.budgets, given.out)} of {given.budgets} hold when measured")
    draw(np.array(pairs), [network.family for network in networks], device, given.plot)


def kept(device: Device, budgets: int, out: Path) -> int:
    """How many of so many drawn budgets of milliseconds the networks that are solved for keep."""
    generator = random.Random(SEED)
    names = itertools.islice(itertools.cycle(families.families()), budgets)
    limits = [round(math.exp(generator.uniform(math.log(2), math.log(20))), 2) for _ in range(budgets)]
    networks = [
        solve_on(
            family,
            Budget(latency_ms=limit),
            device,
            resolution=generator.choice((32, 64, 96)),
        ).network
        for family, limit in zip(names, limits, strict=True)
    ]
    found = quietest(networks, device.threads)
    for network, best, limit in zip(networks, found, limits, strict=True):
        predicted, steps = device.predicted_ms(network), sum(ms for _, ms in best.steps)
        values = (
            network.name, network.family, str(device), device.threads, predicted, best.ms, steps, limit,
        )  # fmt: skip
        append(out, COLUMNS, values)
    return sum(best.ms <= limit for best, limit in zip(found, limits, strict=True))


def conclude(pairs: np.ndarray) -> None:
    """Print how far off the predictions are, and whether they put the networks in the right order."""
    errors = np.abs(pairs[:, 0] / pairs[:, 1] - 1)
    ranks = pairs.argsort(0).argsort(0)
    print(f"{len(pairs)} networks: {np.mean(errors <= WITHIN):.1%} within {WITHIN:.0%} of what was measured")
    print(f"median error {np.median(errors):.1%}, 90th percentile {np.quantile(errors, 0.9):.1%}")
    print(f"rank correlation {np.corrcoef(ranks.T)[0, 1]:.4f}")


def draw(pairs: np.ndarray, families: list[str], device: Device, path: Path) -> None:
    """Predicted against measured, both axes logarithmic, with the band that counts as right."""
    figure, axes = plt.subplots(figsize=(5.6, 5.2), layout="constrained")
    line = np.array([pairs.min() * 0.7, pairs.max() * 1.4])
    axes.fill_between(line, line * (1 - WITHIN), line * (1 + WITHIN), color="0.9", label=f"±{WITHIN:.0%}")
    axes.plot(line, line, color="0.6", linewidth=0.8)
    for family, mark in zip(sorted(set(families)), "os^D", strict=False):
        mine = pairs[[one == family for one in families]]
        axes.plot(mine[:, 1], mine[:, 0], mark, markersize=5, label=family)
    axes.set(xscale="log", yscale="log", xlim=line, ylim=line)
    axes.set_xlabel("measured, ms")
    axes.set_ylabel("predicted, ms")
    axes.set_title(f"one picture on {device}", fontsize=10)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
