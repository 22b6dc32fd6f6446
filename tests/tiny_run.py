"""A data set of three coloured shapes that a small network learns in moments, and a run on it."""

from __future__ import annotations

from pathlib import Path

from smidgen.run import Fitted, Job, fit
from smidgen.spec import Budget
from smidgen.watch import Watch
from tiny_set import shapes

__all__ = ["BUDGET", "CLASSES", "SIDE", "run", "write_shapes"]

CLASSES = ("circle", "cross", "square")
SIDE = 16
BUDGET = Budget(params=6_000, weight_bytes=80_000)


def write_shapes(
    folder: Path, each: int = 20, *, classes: tuple[str, str, str] = CLASSES, seed: int = 0
) -> Path:
    """Write `each` pictures of every class, under any names; returns the folder."""
    shapes(folder, per_class=each, seed=seed)
    for shape, name in zip(CLASSES, classes, strict=True):
        (folder / shape).rename(folder / name)
    return folder


def run(data: Path, out: Path, *, watch: Watch | None = None, seed: int = 0, epochs: int = 2) -> Fitted:
    """Let two families compete for the shapes inside BUDGET."""
    job = Job(str(data), seed=seed, epochs=epochs, out=out, command="smidgen fit …")
    return fit(job, BUDGET, watch or Watch(), ("shiftnet", "resnet"))
