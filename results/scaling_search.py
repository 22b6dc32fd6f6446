"""Does compound scaling win on Fashion-MNIST, at this size? A `smidgen search` on a part of it.

    python results/scaling_search.py --out results/scaling_search

Pictures of the training part alone: so many of each class are drawn, of which the search takes 85 % to
train and 15 % to validate. The budgets were found by counting alone, before anything was trained: two at
which every rule uses most of what it may (84 to 99 %).
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from transfer import drawn

from smidgen.data import open_dataset, write_folder


def main() -> None:
    """Draw the pictures, run the command, keep its three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--per-class", type=int, default=700)
    parser.add_argument("--draw", type=int, default=0)
    parser.add_argument("--family", default="shiftnet")
    parser.add_argument("--macs", default="800k,1.6M")
    parser.add_argument("--resolution", default="16")
    parser.add_argument("--epochs", default="6")
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--no-grid", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--compare", action="store_true", help="only read the rows in --out again")
    given = parser.parse_args()
    if given.compare:
        compare(given.out / "rows.csv", given.epochs)
        return
    arguments = ["search", "fashion", "--out", "study", *(["--no-grid"] if given.no_grid else [])]
    for option in ("family", "macs", "resolution", "epochs", "seeds", "workers"):
        arguments += [f"--{option}", getattr(given, option)]
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chosen = drawn(open_dataset("fashion-mnist"), given.per_class, given.draw)
        write_folder(chosen, Path(folder, "fashion"))
        began, load = time.perf_counter(), os.getloadavg()[0]
        print(shlex.join(["smidgen", *arguments]), flush=True)
        subprocess.run([sys.executable, "-m", "smidgen", *arguments], cwd=folder, check=True)
        print(f"{time.perf_counter() - began:.0f} s, load average {load:.1f} at the start")
        for name in ("search.json", "rows.csv", "search.png"):
            shutil.copy(Path(folder, "study", name), given.out / name)
    compare(given.out / "rows.csv", given.epochs)


def compare(path: Path, epochs: str) -> None:
    """Print the compound rule against each single axis, paired by seed, from the rows of a search."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["epochs"] == epochs:
                found[row["rule"], row["budget"]][row["seed"]] = 100 * float(row["accuracy"])
    for (rule, budget), axis in found.items():
        if rule not in ("width", "depth", "resolution"):
            continue
        compound = found["compound", budget]
        apart = [compound[seed] - axis[seed] for seed in sorted(axis)]
        mean, error = statistics.mean(apart), statistics.stdev(apart) / math.sqrt(len(apart))
        print(f"compound - {rule} at {int(budget):,}: {mean:+.2f} points, standard error {error:.2f}")


if __name__ == "__main__":
    main()
