"""From what a person types to a data set: a folder, a CSV, or the name of a set."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen.data import sets
from smidgen.data.dataset import Dataset, require_sound
from smidgen.data.folder import inspect_folder
from smidgen.data.groups import with_groups
from smidgen.data.labels import inspect_labels
from smidgen.spec import DataError, closest

__all__ = ["from_anywhere", "inspect_dataset", "open_dataset"]


def open_dataset(data: str | os.PathLike[str], *, group_by: str | None = None) -> Dataset:
    """Open a folder (see `open_folder`), a CSV (see `open_labels`) or a named set.

    A string that is the name of a set means the set; write ./digits for a folder of that name.

    group_by  regular expression on the pictures' names; those with the same match (its first parenthesis,
              else all of it) stay together in every split
    Raises    DataError, one line, when nothing of that name exists, when it cannot be trained on, or when
              group_by is no regular expression or matches no picture.
    """
    return require_sound(inspect_dataset(data, group_by=group_by))


def inspect_dataset(data: str | os.PathLike[str], *, group_by: str | None = None) -> Dataset:
    """Open data as `open_dataset` does, and note everything that is wrong in the data set's problems.

    Raises   DataError when there is nothing to note it about: no such data, no pictures, no classes.
    """
    dataset = _open(data)
    return dataset if group_by is None else with_groups(dataset, group_by)


def from_anywhere(data: str) -> str:
    """What a person typed, as it is found from any folder; the name of a set, or of nothing, as it is."""
    if data in sets.names() or not os.path.exists(Path(data)):  # noqa: PTH110 (no error where a folder is closed)
        return data
    return os.path.abspath(data)  # noqa: PTH100 (links stay as they were typed)


def _open(data: str | os.PathLike[str]) -> Dataset:
    if isinstance(data, str) and data in sets.names():
        return sets.load(data)
    path = Path(data)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:  # a folder above it is closed, or the name is longer than any
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if is_folder:
        return inspect_folder(path)
    if is_there:
        return _open_file(path)
    known = sets.names()
    if isinstance(data, str) and path.name == data and not path.suffix:
        hint = closest(data, known)
        raise DataError(f"no folder, CSV or set '{data}'; {hint}sets are {', '.join(known)}")
    raise DataError(f"{path}: no such {'file' if path.suffix else 'folder'}")


def _open_file(path: Path) -> Dataset:
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{path}: neither a folder nor a CSV; data is a folder, a CSV or a set's name")
    return inspect_labels(path)
