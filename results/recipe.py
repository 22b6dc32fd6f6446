"""What of the default recipe pays? One network on Fashion-MNIST, the recipe changed in one place at a time.

    python results/recipe.py --budget params=30k --epochs 6 --seeds 0 --out results/recipe.csv

One row for each training: accuracy and loss on the 5,000 validation pictures after the last epoch. The
test part is never looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

from rows import append
from rungs import News

from smidgen import solve
from smidgen.run.contest import contest
from smidgen.run.plan import Plan, Rung, Trial
from smidgen.run.runner import Runner
from smidgen.run.schedule import default_recipe
from smidgen.run.session import Session
from smidgen.spec import Budget
from smidgen.train.material import prepare
from smidgen.train.recipe import Recipe, recipe
from smidgen.watch import Watch

COLUMNS = (
    "change", "network", "params", "epochs", "seed", "train_accuracy", "val_accuracy", "val_loss", "seconds",
)  # fmt: skip


def augmented(strength: float) -> Callable[[Recipe], Recipe]:
    """So much of the full augmentation and label smoothing."""
    full = recipe("small")
    return lambda base: dataclasses.replace(
        base, augment=full.augment.scaled(strength), label_smoothing=strength * full.label_smoothing
    )


def replaced(**fields: float) -> Callable[[Recipe], Recipe]:
    """Other numbers in some fields."""
    return lambda base: dataclasses.replace(base, **fields)  # type: ignore[arg-type]


def flipped(base: Recipe) -> Recipe:
    """Half of the pictures mirrored."""
    return dataclasses.replace(base, augment=dataclasses.replace(base.augment, flip=True))


CHANGES: dict[str, Callable[[Recipe], Recipe]] = {
    "none": lambda base: base,
    "flip": flipped,
    **{f"strength {share}": augmented(share) for share in (0.0, 0.05, 0.15, 0.3, 0.5)},
    **{f"rate {rate}": replaced(learning_rate=rate) for rate in (2e-3, 4e-3, 1.6e-2, 3.2e-2)},
    **{f"decay {decay}": replaced(weight_decay=decay) for decay in (0.0, 0.01, 0.2)},
    **{f"batch {size}": replaced(batch_size=size) for size in (32, 64, 256)},
    "smoothing 0.1": replaced(label_smoothing=0.1),
    "unclipped": replaced(clip_grad=0.0),
    "unaveraged": replaced(ema_decay=0.0),
}


def main() -> None:
    """Train with every change and every seed, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budget", type=Budget.parse, default=Budget(params=30_000))
    parser.add_argument("--depth", type=float, default=2 / 3, help="of the ResNet baseline's")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for seed in given.seeds:
        material = prepare("fashion-mnist", seed=seed, watch=Watch())
        solution = solve(
            "resnet",
            given.budget,
            depth=given.depth,
            num_classes=len(material.dataset.classes),
            c_in=material.channels,
            resolution=material.resolution,
        )
        network = material.fitted(solution.network)
        base = default_recipe(material, network, given.epochs)
        trials = tuple(Trial(network, CHANGES[change](base)) for change in given.changes)
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(Path(folder), Plan(trials, (Rung(1.0, 1),)), material, Session(seed))
            rows = contest(runner.plan, runner, given.workers, News()).rows
        for change, trained in zip(given.changes, rows, strict=True):
            last = trained[-1]
            row = (
                change, network.name, network.cost().params, last.epoch, seed, round(last.train_accuracy, 4),
                last.val_accuracy, round(last.val_loss, 4), round(last.seconds, 1),
            )  # fmt: skip
            append(given.out, COLUMNS, row)
            print(*row, flush=True)


if __name__ == "__main__":
    main()
