"""Milliseconds that a device file predicts beside those that are measured, for networks it has not seen.

    python results/latency.py --networks 40 --out results/latency.csv --plot results/latency.png

Measures this machine as `smidgen info --measure` does (or reads --device), then draws other networks of all
families, with other widths, depths, pictures and classes, and times each whole, in two rounds that are apart
in time: the quieter one counts, as in the device file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rows import append

from smidgen.scaling import device as device_file
from smidgen.scaling.device import Device
from smidgen.scaling.measure import drawn_networks, measure, timed

COLUMNS = ("network", "family", "device", "threads", "predicted_ms", "measured_ms", "steps_ms")
SEED = 77  # other than that of the device file
WITHIN = 0.10


def main() -> None:
    """Measure, predict, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    given = parser.parse_args()
    device = device_file.read(given.device) if given.device else measure(given.threads)
    drawn = drawn_networks(SEED)
    networks = [next(drawn) for _ in range(given.networks)]
    rounds = [[timed(network, device.threads) for network in networks] for _ in range(2)]
    pairs = []
    for network, first, second in zip(networks, *rounds, strict=True):
        best = min(first, second, key=lambda one: one.ms)
        predicted, steps = device.latency_ms(network), sum(ms for _, ms in best.steps)
        pairs.append((predicted, best.ms))
        values = (network.name, network.family, str(device), device.threads, predicted, best.ms, steps)
        append(given.out, COLUMNS, values)
    conclude(np.array(pairs))
    draw(np.array(pairs), [network.family for network in networks], device, given.plot)


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
