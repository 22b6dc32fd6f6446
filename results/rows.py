"""Files of rows, one CSV for each script, and how several figures are told as one."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path

__all__ = ["append", "told"]


def append(path: Path, columns: Sequence[str], row: Sequence[object]) -> None:
    """Add a row to the file, after a header where it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        writer.writerow(row)


def told(values: Sequence[float], digits: int = 2) -> str:
    """Median (least–most)."""
    low, middle, high = (f"{of(values):.{digits}f}" for of in (min, statistics.median, max))
    return f"{middle} ({low}–{high})"
