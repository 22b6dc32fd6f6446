"""The folder of a run: new for every run, and gone again if nothing in it could be taken up again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from smidgen.data import require_place
from smidgen.data.places import taken
from smidgen.data.runs import RUN as RECORD
from smidgen.spec import SmidgenError

__all__ = ["MODEL_FILE", "RECORD", "new_run_folder"]

MODEL_FILE = "model.safetensors"


@contextlib.contextmanager
def new_run_folder(wanted: Path | None, base: Path, record: str = RECORD) -> Iterator[Path]:
    """Create `wanted`, or the first free of BASE-1, BASE-2, …

    record   file with which the work can be taken up again; without it the folder goes when the block fails
    Raises   SmidgenError where `wanted` exists: a run is never overwritten.
    """
    require_place(wanted, base)
    present = next(parent for parent in (wanted or base).absolute().parents if parent.exists())
    folder = _first_free(base) if wanted is None else _exactly(wanted)
    try:
        yield folder
    except BaseException:
        if not (folder / record).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty(folder.absolute().parent, present)
        raise


def _exactly(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if os.path.lexists(folder):
            raise taken(folder) from None
        raise SmidgenError(f"{folder}: cannot be created (a file is in the way)") from None
    except OSError as error:
        raise SmidgenError(f"{folder}: cannot be created ({error.strerror or error})") from None
    return folder


def _first_free(base: Path) -> Path:
    number = 1
    while True:
        folder = base.with_name(f"{base.name}-{number}")
        try:
            return _exactly(folder)
        except SmidgenError:
            if not os.path.lexists(folder):  # taken, if only a moment ago by another run
                raise
        number += 1


def _remove_empty(folder: Path, until: Path) -> None:
    """Remove the folders that were made on the way to the run folder, where nobody else has used them."""
    while folder != until:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
