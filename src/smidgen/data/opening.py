"""From what a person types to a data set: a folder, a CSV, or the name of a set."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen.data import sets
from smidgen.data.dataset import Dataset
from smidgen.data.folder import open_folder
from smidgen.data.labels import open_labels
from smidgen.spec import DataError, closest

__all__ = ["open_dataset"]


def open_dataset(data: str | os.PathLike[str]) -> Dataset:
    """Open a folder (see `open_folder`), a CSV (see `open_labels`) or a named set.

    A string that is the name of a set means the set; write ./digits for a folder of that name.

    Raises   DataError, one line, when nothing of that name exists or it cannot be trained on.
    """
    if isinstance(data, str) and data in sets.names():
        return sets.load(data)
    path = Path(data)
    if path.is_dir():
        return open_folder(path)
    if path.exists():
        return _open_file(path)
    known = sets.names()
    if isinstance(data, str) and path.name == data and not path.suffix:
        hint = closest(data, known)
        raise DataError(f"no folder, CSV or set '{data}'; {hint}sets are {', '.join(known)}")
    raise DataError(f"{path}: no such {'file' if path.suffix else 'folder'}")


def _open_file(path: Path) -> Dataset:
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{path}: neither a folder nor a CSV; data is a folder, a CSV or a set's name")
    return open_labels(path)
