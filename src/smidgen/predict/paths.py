"""Which pictures are meant by the paths of files and folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from smidgen.data.folder import run_news
from smidgen.data.runs import count_pictures, holds_runs
from smidgen.images import is_picture_name

__all__ = ["pictures_in"]

Hear = Callable[[str], object]


def pictures_in(paths: Iterable[str], bad: Hear, news: Hear) -> Iterator[str]:
    """Files as they are, folders as the visible pictures in them, at any depth, sorted by name.

    Links to folders are not followed, they may form a loop. Folders that hold runs are passed over: what is
    drawn there is no picture of anybody's.

    bad   hears a line of each folder that cannot be read, or that has no pictures
    news  hears a line of each that is passed over
    """
    for path in paths:
        if _is_folder(path):
            yield from _searched(path, bad, news)
        else:
            yield path


def _searched(folder: str, bad: Hear, news: Hear) -> Iterator[str]:
    """Pictures in a folder; `bad` hears where there are none, and nothing else was wrong."""
    wrong = found = False

    def worse(line: str) -> None:
        nonlocal wrong
        wrong = True
        bad(line)

    for path in _below(folder, worse, news):
        found = True
        yield path
    if not found and not wrong:
        bad(f"{folder}: a folder without pictures")


def _below(folder: str, bad: Hear, news: Hear) -> Iterator[str]:
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield str(Path(path))
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            bad(f"{path}: cannot be read ({error.strerror or error})")
            continue
        for entry in found:
            deep = entry.is_dir(follow_symlinks=False)
            if entry.name[0] == "." or (not deep and not is_picture_name(entry.name)):
                continue
            if deep and holds_runs(Path(entry.path)):
                news(run_news(f"{entry.path}/", count_pictures(Path(entry.path))))
            else:
                waiting.append((entry.path, deep))


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # a name that the system refuses; reading it will say why
        return False
