"""Milliseconds that `solve` takes for random budgets in the units that are counted, for each family and rule.

    python results/solve_time.py --budgets 250 --out results/solve_time.csv

Processor time of one thread. Each budget limits one to four of params, macs, weight_bytes and peak_bytes,
each drawn from a logarithmic range; pictures have a side of 8 to 224 pixels, or follow the rule. Budgets that
nothing obeys count too.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import random
import statistics
import time
from pathlib import Path

from rows import append

from smidgen.families import families
from smidgen.scaling import RULES, Scaling, solve
from smidgen.spec import Budget, BudgetError

COLUMNS = ("date", "python", "family", "rule", "budgets", "median_ms", "p99_ms", "worst_ms", "load")

# Decades that limits are drawn from.
DECADES = {"params": (3.5, 7.5), "macs": (5.0, 9.5), "weight_bytes": (4.5, 8.0), "peak_bytes": (4.0, 7.5)}
SIDES = (None, 8, 16, 28, 32, 65, 96, 224)


def budget(draw: random.Random) -> Budget:
    """A budget with one to four limits."""
    units = draw.sample(sorted(DECADES), draw.randint(1, len(DECADES)))
    return Budget(**{unit: round(10 ** draw.uniform(*DECADES[unit])) for unit in units})


def seconds(family: str, rule: Scaling, draw: random.Random) -> float:
    """Processor time of one solution."""
    limits, side = budget(draw), draw.choice(SIDES)
    start = time.process_time()
    with contextlib.suppress(BudgetError):
        solve(family, limits, num_classes=10, resolution=side, rule=rule)
    return time.process_time() - start


def measured(family: str, rule: str, budgets: int) -> tuple[object, ...]:
    """A row."""
    draw = random.Random(0)
    times = sorted(1000 * seconds(family, RULES[rule], draw) for _ in range(budgets))
    figures = (statistics.median(times), times[int(0.99 * len(times)) - 1], times[-1])
    today, load = datetime.datetime.now(datetime.UTC).date(), os.getloadavg()[0]
    shown = (f"{figure:.1f}" for figure in figures)
    return (today, platform.python_version(), family, rule, budgets, *shown, f"{load:.2f}")


def main() -> None:
    """Write a row for each family and rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--budgets", type=int, default=250)
    parser.add_argument("--rules", nargs="+", default=["compound", "width", "tinynet"])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for family in families():
        for rule in arguments.rules:
            row = measured(family, rule, arguments.budgets)
            append(arguments.out, COLUMNS, row)
            print(*row, flush=True)


if __name__ == "__main__":
    main()
