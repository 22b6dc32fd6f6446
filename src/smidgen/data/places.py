"""Where a run may be made: in a place that can be written, and never among the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from smidgen import atomic
from smidgen.data import sets
from smidgen.spec import SmidgenError

__all__ = ["place_for", "require_place", "taken"]


def place_for(base: Path, data: str) -> Path:
    """BASE, of which the run folders are BASE-1, BASE-2, …; beside the data where it would lie inside them.

    base   such as runs/photos
    data   a folder, or what holds no run: a CSV, the name of a set
    """
    if not _inside(base, data):
        return base
    return Path(os.path.realpath(data)).parent / base.parent.name / base.name


def require_place(out: Path | None, base: Path, data: str | None = None) -> None:
    """Raise SmidgenError unless a run folder can be made: OUT, or without it BASE-1, BASE-2, …

    data   what is trained on, which may not hold the run
    """
    if out is not None and str(out).startswith("-"):
        raise SmidgenError(f"--out {out}: the name of a folder is needed; for one of that name write ./{out}")
    if out is not None and os.path.lexists(out):
        raise taken(out)
    place = base.with_name(f"{base.name}-1") if out is None else out
    if data is not None and _inside(place, data):
        raise _amid(place, data)
    try:
        atomic.probe_folder(place.parent / place.name)
    except OSError as error:
        way_out = "; choose another place with --out" if out is None else ""
        raise SmidgenError(f"{place}: cannot be created ({error.strerror or error}){way_out}") from None


def taken(out: Path) -> SmidgenError:
    """What to say where something is in the place of a run."""
    return SmidgenError(f"{out} exists; a run is never overwritten, choose another --out")


def _amid(place: Path, data: str) -> SmidgenError:
    """What to say where a run would lie among the pictures."""
    if os.path.realpath(data) == os.path.sep:
        return SmidgenError(f"{data}: everything here lies inside it; name the folder of the pictures")
    return SmidgenError(
        f"{place} lies inside the data, {data}, where its files would count as pictures of a class; "
        "choose an --out beside them"
    )


def _inside(path: Path, data: str) -> bool:
    """Whether a path, which need not exist, lies in the folder of the data, or of a class that is a link."""
    if data in sets.names() or os.path.isfile(data):  # noqa: PTH113 (no error where a folder is closed)
        return False
    # A class may be a link to a folder elsewhere, below train and test as well.
    homes = {atomic.identity(folder) for folder in (data, *_links(data, 2))} - {None}
    real = Path(os.path.realpath(path))
    around = (
        real,
        *real.parents,
    )
    # By name as well: the demo's pictures are yet to be written.
    return Path(os.path.realpath(data)) in around or any(atomic.identity(place) in homes for place in around)


def _links(folder: str, levels: int) -> Iterator[str]:
    """Links to folders, so many levels down."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.path, entry.is_symlink()) for entry in entries if entry.is_dir()]
    except OSError:
        return
    for path, is_link in found:
        if is_link:
            yield path
        if levels > 1:
            yield from _links(path, levels - 1)
