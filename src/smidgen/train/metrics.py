"""The rows of `metrics.csv`: one a finished epoch."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen import atomic

__all__ = ["EpochRow", "read_rows", "write_rows"]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """What one epoch did.

    epoch           counted from 1; `step` is the number of optimiser steps so far
    lr              of the epoch's last step
    train_*         means over the epoch's augmented pictures, while the weights moved
    val_*           of the weights that would be kept (the moving average where there is one); balanced: every
                    class counts alike
    seconds         since training began
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The row by column name."""
        return dataclasses.asdict(self)


_COLUMNS = {field.name: int if field.type == "int" else float for field in dataclasses.fields(EpochRow)}


def write_rows(path: Path, rows: Sequence[EpochRow]) -> None:
    """Replace the file by these rows, in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.to_dict() for row in rows)
    atomic.write_text(path, text.getvalue())


def read_rows(path: Path) -> list[EpochRow]:
    """All rows of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> EpochRow:
    values: dict[str, Any] = {name: read(line[name]) for name, read in _COLUMNS.items()}
    return EpochRow(**values)
