"""Folders that hold runs: what trainings and searches left behind, which is no data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smidgen.images import is_picture_name
from smidgen.spec import SmidgenError

__all__ = [
    "DIGITS",
    "RUN",
    "STUDY",
    "count_pictures",
    "foreign_to_demo",
    "has_pictures",
    "holds_runs",
    "is_hidden",
    "is_run",
    "read_record",
    "runs_below",
]

RUN, STUDY = "run.json", "study.json"

# Keys by which the record of a run, or of a search, is known: a file of that name alone is none.
_KEYS = {RUN: {"format", "job", "plan"}, STUDY: {"format", "agenda"}}
_MADE_BY = {RUN: "`smidgen fit` and `train` make a run folder", STUDY: "`smidgen search DATA` begins a study"}
_WHAT = {RUN: "a run", STUDY: "a search"}
# Left behind by operating systems and file servers; names that start with a dot are hidden as well.
_HIDDEN = frozenset({"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"})

DIGITS = "digits"  # folder of the pictures that `smidgen demo` writes
_CLASSES = frozenset("0123456789")  # in it


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


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's data."""
    return name.startswith(".") or name in _HIDDEN


def is_run(folder: Path) -> bool:
    """Whether this is the folder of a run or of a search."""
    return _record(folder) is not None


def holds_runs(folder: Path) -> bool:
    """Whether a folder is there for runs, so that nothing in it is data.

    It is a run itself, or holds some at any depth and no picture outside them, or is the folder of
    `smidgen demo`. Any other folder with pictures is data, whatever was trained inside it.
    """
    if is_run(folder) or _is_demo(folder):
        return True
    return not has_pictures(folder) and any(True for _ in runs_below(folder))


def runs_below(folder: Path) -> Iterator[Path]:
    """Folders of runs at any depth; what lies inside a run is its own."""
    for place, folders, _ in os.walk(folder):
        runs = [name for name in sorted(folders) if is_run(Path(place, name))]
        yield from (Path(place, name) for name in runs)
        folders[:] = [name for name in folders if not is_hidden(name) and name not in runs]


def has_pictures(folder: Path) -> bool:
    """Whether a picture lies in a folder at any depth, outside its runs.

    It may also lie where nobody can look.
    """
    closed: list[OSError] = []
    found = any(any(map(is_picture_name, files)) for files in _visible_files(folder, closed.append))
    return found or bool(closed)


def count_pictures(folder: Path) -> int:
    """How many pictures lie in a folder at any depth, in its runs as well."""
    return sum(sum(map(is_picture_name, files)) for files in _visible_files(folder, runs=True))


def foreign_to_demo(folder: Path) -> list[str]:
    """Names in a folder that `smidgen demo` has not put there, sorted.

    It makes runs, and a folder with digits/0 to digits/9.
    """
    foreign = []
    for place in sorted(folder.iterdir()):
        if place.name == DIGITS and place.is_dir():
            inside = sorted(path.name for path in place.iterdir() if not is_hidden(path.name))
            foreign += [f"{DIGITS}/{name}" for name in inside if name not in _CLASSES]
        elif not is_hidden(place.name) and not is_run(place):
            foreign.append(place.name)
    return foreign


def _is_demo(folder: Path) -> bool:
    """Whether a folder is that of `smidgen demo`, with a run to show for it, and nothing else."""
    try:
        if not (folder / DIGITS).is_dir() or foreign_to_demo(folder):
            return False
        records = map(_record, folder.iterdir())
        return any(_command(record).startswith("smidgen demo") for record in records)
    except OSError:
        return False


def _command(record: Mapping[str, Any] | None) -> str:
    """The command that a run was begun with."""
    job = record.get("job") if record else None
    return str(job.get("command", "")) if isinstance(job, Mapping) else ""


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
        try:
            if not (folder / name).is_file():
                continue
            document = read_record(folder, name)
        except (OSError, SmidgenError):  # a folder that may not be entered shows no record
            continue
        if _KEYS[name] <= document.keys():
            return document
    return None


def _visible_files(
    folder: Path, closed: Callable[[OSError], None] | None = None, runs: bool = False
) -> Iterator[list[str]]:
    """Names of the files of each folder, at any depth; of runs where they count.

    closed  hears of the folders that cannot be read
    """
    for place, folders, files in os.walk(folder, onerror=closed):
        yield [name for name in files if not is_hidden(name)]
        visible = [name for name in folders if not is_hidden(name)]
        folders[:] = [name for name in visible if runs or not is_run(Path(place, name))]
