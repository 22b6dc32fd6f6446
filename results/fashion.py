"""The main job on Fashion-MNIST as a folder of PNG files: last epoch, the test part looked at once.

    python results/fashion.py --budget params=10k --time 9m --seeds 1 2 3 --out results/fashion.csv

Every row is one `smidgen fit` in a process of its own, with the command as it was run.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import append

from smidgen.data import open_dataset, write_folder

COLUMNS = (
    "date", "budget", "seed", "time", "wall_seconds", "load", "network", "params", "macs", "epochs",
    "val_accuracy", "test_accuracy", "n", "command",
)  # fmt: skip


def main() -> None:
    """One fit for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budget", required=True)
    parser.add_argument("--time", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out = given.out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        write_folder(open_dataset("fashion-mnist"), Path(folder, "fashion"))
        accuracies = [one(given.budget, given.time, seed, Path(folder), out) for seed in given.seeds]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
    mean = statistics.mean(accuracies)
    print(f"{given.budget}: {100 * mean:.2f} ± {100 * spread:.2f} % of 10,000 over {len(accuracies)} seeds")


def one(budget: str, limit: str, seed: int, folder: Path, out: Path) -> float:
    """Run the command, add its row, and give its test accuracy."""
    arguments = ["fit", "fashion", "--budget", budget, "--time", limit, "--seed", str(seed)]
    began, load = time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, "-m", "smidgen", *arguments, "--out", f"run-{seed}", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = time.perf_counter() - began
    report = json.loads(done.stdout)
    best = next(row for row in report["candidates"] if row["chosen"])
    row = (
        report["provenance"]["date"], budget, seed, limit, round(wall, 1), round(load, 2),
        report["network"]["name"], report["cost"]["params"], report["cost"]["macs"], best["epochs"],
        best["val_accuracy"], report["test"]["accuracy"], report["test"]["n"],
        shlex.join(["smidgen", *arguments]),
    )  # fmt: skip
    append(out, COLUMNS, row)
    print(*row, flush=True)
    accuracy: float = report["test"]["accuracy"]
    return accuracy


if __name__ == "__main__":
    main()
