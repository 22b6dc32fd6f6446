"""Folders that hold runs: what trainings and searches left behind, which is no data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smidgen.images import is_picture_name
from smidgen.spec import SmidgenError

__all__ = ["RUN", "STUDY", "holds_runs", "is_run", "read_record"]

RUN, STUDY = "run.json", "study.json"

# Keys by which the record of a run, or of a search, is known: a file of that name alone is none.
_KEYS = {RUN: {"format", "job", "plan"}, STUDY: {"format", "agenda"}}
_MADE_BY = {RUN: "`smidgen fit` and `train` make a run folder", STUDY: "`smidgen search DATA` begins a study"}
_WHAT = {RUN: "a run", STUDY: "a search"}
_DEEP = 2  # folders below the one that is looked at: runs/photos-1, project/runs/photos-1


def read_record(folder: Path, name: str) -> dict[str, Any]:
    """The record of a run (RUN) or of a search (STUDY), as it stands in its folder.

    Raises   SmidgenError where there is none.
    """
    path = folder / name
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SmidgenError(f"{path}: {error.strerror or error}; {_advice(folder, name)}") from None
    except (ValueError, RecursionError):
        raise SmidgenError(f"{path}: not JSON; it is not the record of {_WHAT[name]}") from None
    if not isinstance(document, dict):
        raise SmidgenError(f"{path}: not the record of {_WHAT[name]}")
    return document


def is_run(folder: Path) -> bool:
    """Whether this is the folder of a run or of a search."""
    return _record(folder) is not None


def holds_runs(folder: Path) -> bool:
    """Whether a folder is there for runs, so that nothing in it is data.

    It is a run itself, or has one or two levels down, and no pictures of its own; those that a run in it was
    trained on do not count, as in the folder of `smidgen demo`.
    """
    found = list(_records_below(folder, _DEEP))
    return bool(found) and (
        is_run(folder) or any(_trained_inside(one, folder) for one in found) or not _has_pictures(folder)
    )


def _advice(folder: Path, name: str) -> str:
    """What to do about a missing record."""
    if name == RUN and _record(folder, STUDY):
        return f"this is a search: `smidgen search --resume {_quoted(folder)}`"
    if name == STUDY and _record(folder, RUN):
        return f"this is a run: `smidgen resume {_quoted(folder)}`"
    return _MADE_BY[name]


def _quoted(folder: Path) -> str:
    import shlex

    return shlex.quote(str(folder))


def _record(folder: Path, *names: str) -> Mapping[str, Any] | None:
    for name in names or _KEYS:
        if (folder / name).is_file():
            try:
                document = read_record(folder, name)
            except SmidgenError:
                continue
            if _KEYS[name] <= document.keys():
                return document
    return None


def _records_below(folder: Path, depth: int) -> Iterator[Mapping[str, Any]]:
    """Records in a folder and so many levels below it; what lies inside a run is its own."""
    record = _record(folder)
    if record is not None:
        yield record
        return
    if depth:
        for place in _visible_folders(folder):
            yield from _records_below(place, depth - 1)


def _visible_folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except OSError:  # whoever reads the pictures will say so
        return []


def _trained_inside(record: Mapping[str, Any], folder: Path) -> bool:
    """Whether the data of a run lie below this folder, or did before it was moved."""
    job = record.get("job", record)
    data = job.get("data") if isinstance(job, Mapping) else None
    if not isinstance(data, str) or not os.path.isabs(data):  # noqa: PTH117 (as it was typed)
        return False
    place, name = Path(os.path.realpath(data)), Path(data).name
    return Path(os.path.realpath(folder)) in place.parents or bool(name and (folder / name).is_dir())


def _has_pictures(folder: Path) -> bool:
    for place, folders, files in os.walk(folder):
        if any(is_picture_name(name) for name in files if name[0] != "."):
            return True
        folders[:] = [name for name in folders if name[0] != "." and not is_run(Path(place, name))]
    return False
