"""Do the rungs of `fit` keep the order? All candidates of a budget, each trained to the end on Fashion-MNIST.

    python results/rungs.py --budget params=30k --per-class 1000 --epochs 10 --out results/rungs.csv

One row for each candidate: validation accuracy after every epoch. At the end, the rank correlation (Spearman)
of the order after every epoch with the order at the end, and where the rungs of `fit` stand.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from transfer import drawn

from smidgen.data import open_dataset, write_folder
from smidgen.run.contest import contest, spearman
from smidgen.run.plan import RUNGS, Plan, Rung, Trial
from smidgen.run.propose import propose
from smidgen.run.runner import Runner
from smidgen.run.schedule import default_recipe
from smidgen.run.session import Session
from smidgen.spec import Budget
from smidgen.train.material import prepare
from smidgen.watch import Watch


class News(Watch):
    """Prints what happens."""

    def say(self, text: str) -> None:
        """One line."""
        print(text, flush=True)


def main() -> None:
    """Train all, compare the orders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budget", type=Budget.parse, default=Budget(params=36_000))
    parser.add_argument("--per-class", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        write_folder(drawn(open_dataset("fashion-mnist"), given.per_class, given.seed), pictures)
        material = prepare(str(pictures), seed=given.seed, watch=Watch())
        networks = [material.fitted(one.network) for one in propose(material, given.budget, Watch())]
        trials = tuple(
            Trial(network, default_recipe(material, network, given.epochs)) for network in networks
        )
        plan = Plan(trials, (Rung(0.5, len(trials)), Rung(1.0, 1)))
        runner = Runner(Path(folder), plan, material, Session(given.seed))
        rows = contest(plan, runner, given.workers, News()).rows
    accuracies = [[row.val_accuracy for row in trial] for trial in rows]
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "params", "macs", *(f"epoch_{n}" for n in range(1, given.epochs + 1))])
        for network, values in zip(networks, accuracies, strict=True):
            cost = network.cost()
            writer.writerow([network.name, cost.params, cost.macs, *(f"{value:.4f}" for value in values)])
    final = [values[-1] for values in accuracies]
    rungs = {trials[0].epochs_at(share) for share in RUNGS}
    for epoch in range(given.epochs):
        agreement = spearman([values[epoch] for values in accuracies], final)
        mark = "  <- rung" if epoch + 1 in rungs else ""
        print(f"after epoch {epoch + 1:2}: Spearman {agreement:.3f} over {len(final)} candidates{mark}")


if __name__ == "__main__":
    main()
