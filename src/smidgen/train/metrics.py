"""The rows of `metrics.csv`: one a finished epoch."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Row", "append_row", "read_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one epoch did.

    epoch           counted from 1; `step` is the number of optimiser steps so far
    lr              of the epoch's last step
    train_*         means over the epoch's augmented pictures, while the weights moved
    val_*           of the weights that would be kept (the moving average where there is one)
    seconds         since training began
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The row by column name."""
        return dataclasses.asdict(self)


_COLUMNS = {field.name: int if field.type == "int" else float for field in dataclasses.fields(Row)}


def append_row(path: Path, row: Row) -> None:
    """Add one line to the file, after a header where the file is new."""
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row.to_dict())


def read_rows(path: Path) -> list[Row]:
    """All whole rows of the file; a last line that a crash cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [_row(line) for line in csv.DictReader(whole)]


def _row(line: dict[str, str]) -> Row:
    values: dict[str, Any] = {name: read(line[name]) for name, read in _COLUMNS.items()}
    return Row(**values)
