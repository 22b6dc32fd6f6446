"""Milliseconds that `solve` takes for random budgets in the units that are counted, for each family and rule.

    python results/solve_time.py --budgets 250

Processor time of one thread. Each budget limits one to four of params, macs, weight_bytes and peak_bytes,
each drawn from a logarithmic range; pictures have a side of 8 to 224 pixels, or follow the rule. Budgets that
nothing obeys count too.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import time

from smidgen.families import families
from smidgen.scaling import RULES, Scaling, solve
from smidgen.spec import Budget, BudgetError

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


def main() -> None:
    """Print a row for each family and rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--budgets", type=int, default=250)
    parser.add_argument("--rules", nargs="+", default=["compound", "width", "tinynet"])
    arguments = parser.parse_args()
    print("| family | rule | median | 99 of 100 | worst |\n|---|---|---|---|---|")
    for family in families():
        for rule in arguments.rules:
            draw = random.Random(0)
            times = sorted(1000 * seconds(family, RULES[rule], draw) for _ in range(arguments.budgets))
            most = times[int(0.99 * len(times)) - 1]
            figures = f"{statistics.median(times):.0f} ms | {most:.0f} ms | {times[-1]:.0f} ms"
            print(f"| {family} | {rule} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
