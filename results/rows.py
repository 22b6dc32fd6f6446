"""Files of rows: one CSV for each script."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["append"]


def append(path: Path, columns: Sequence[str], row: Sequence[object]) -> None:
    """Add a row to the file, after a header where it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        writer.writerow(row)
