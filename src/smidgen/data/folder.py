"""A folder with a subfolder per class, or with train, val and test that each hold those."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from smidgen.data.dataset import PART_NAMES, Dataset, FilePicture, SplitName, require_sound
from smidgen.data.runs import count_pictures, holds_runs, is_hidden
from smidgen.images import SUFFIXES, is_picture_name
from smidgen.spec import DataError, counted

__all__ = ["inspect_folder", "open_folder", "passed_over", "passed_over_news", "run_news"]

_MOST_TOLD = 10  # folders that are named one by one

_LOOKED_FOR = "looked for " + ", ".join(SUFFIXES)


def open_folder(folder: Path) -> Dataset:
    """Read the structure of a folder; no picture is opened.

    Each subfolder is a class, with all pictures at any depth below it. Where the subfolders are called
    train, val and test (train and any other, or train alone), the classes are one level deeper and the
    split is given. Hidden files and folders that hold runs are passed over. Classes and pictures are
    sorted by name.

    Raises   DataError when the folder does not exist, holds no pictures, has an empty class or only one,
             or when its parts hold different classes.
    """
    return require_sound(inspect_folder(folder))


def passed_over(dataset: Dataset) -> dict[str, int]:
    """Folders that were passed over because they hold runs, with the number of pictures in each."""
    names = [name for name in dataset.ignored if name.endswith("/")]
    return {name: count_pictures(Path(dataset.source, name)) for name in names}


def passed_over_news(dataset: Dataset) -> tuple[str, ...]:
    """Lines to say of the folders that were passed over: each by name, of very many the first."""
    found = passed_over(dataset)
    lines = [run_news(name, pictures) for name, pictures in found.items()]
    more = len(lines) - _MOST_TOLD
    if more <= 1:
        return tuple(lines)
    rest = counted(sum([*found.values()][_MOST_TOLD:]), "picture")
    return (*lines[:_MOST_TOLD], f"passed over: {more:,} more folders with runs, {rest} in them")


def run_news(name: str, pictures: int) -> str:
    """The line on one folder that was passed over."""
    return f"passed over, for it holds runs: {name} ({counted(pictures, 'picture')} in it)"


def inspect_folder(folder: Path) -> Dataset:
    """Read a folder as `open_folder` does, and note everything that is wrong in the data set's problems.

    Raises   DataError when there is nothing to note it about: no folder, no pictures, no classes.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    parts, problems = _parts(folder)
    if parts is None:
        by_class, empty = _by_class(folder)
        return _dataset(folder, by_class, None, empty)
    per_part: dict[SplitName, dict[str, list[Path]]] = {}
    for part, path in parts.items():
        try:
            per_part[part], empty = _by_class(path)
            problems += empty
        except DataError as error:
            problems.append(str(error))
    if not per_part:
        raise DataError(problems[-1])
    problems += _differences(folder, parts, {part: set(classes) for part, classes in per_part.items()})
    by_class = {}
    given: dict[Path, SplitName] = {}
    for part, classes in per_part.items():
        for name, paths in classes.items():
            by_class.setdefault(name, []).extend(paths)
            given.update(dict.fromkeys(paths, part))
    return _dataset(folder, by_class, given, problems)


def _dataset(
    folder: Path,
    by_class: Mapping[str, Iterable[Path]],
    given: Mapping[Path, SplitName] | None,
    problems: list[str],
) -> Dataset:
    classes = tuple(sorted(by_class))
    pictures = sorted(
        (
            FilePicture(path, path.relative_to(folder).as_posix(), label)
            for label, name in enumerate(classes)
            for path in by_class[name]
        ),
        key=lambda picture: picture.name,
    )
    if len(classes) == 1:
        only = f"{folder}: only one class, {classes[0]}"
        problems = [*problems, f"{only}; a classifier needs a subfolder for each of 2 or more"]
    used = {picture.path for picture in pictures}
    files, runs = _walk(folder)
    others = [path.relative_to(folder).as_posix() for path in files if path not in used]
    return Dataset(
        name=folder.resolve().name,
        source=str(folder),
        classes=classes,
        pictures=tuple(pictures),
        given_split=None if given is None else tuple(given[picture.path] for picture in pictures),
        ignored=(*others, *(f"{path.relative_to(folder).as_posix()}/" for path in runs)),
        problems=tuple(problems),
    )


def _parts(folder: Path) -> tuple[dict[SplitName, Path] | None, list[str]]:
    """Train, val and test, None where the subfolders are classes; and what is wrong with them."""
    parts: dict[SplitName, Path] = {}
    others, problems = [], []
    for path in _subfolders(folder):
        part = PART_NAMES.get(path.name.lower())
        if part is None:
            others.append(path)
        elif part in parts:
            both = f"{parts[part].name}/ and {path.name}/ both name the {part} part"
            problems.append(f"{folder}: {both}; keep one")
        else:
            parts[part] = path
    if "train" not in parts or (others and len(parts) == 1):
        return None, []
    names = ", ".join(f"{part.name}/" for part in parts.values())
    problems += [
        f"{folder}: beside {names} lies {path.name}/ with pictures; move it into one of them"
        for path in others
        if any(map(is_picture_name, _files(path)))
    ]
    return parts, problems


def _by_class(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Pictures of each class below one folder, sorted; and the classes that have none, a line each."""
    found = {path.name: _files(path) for path in _subfolders(folder)}
    pictures = {name: [path for path in files if is_picture_name(path)] for name, files in found.items()}
    if not any(pictures.values()):
        raise DataError(_nothing_found(folder))
    return pictures, [
        _empty_class(folder / name, len(found[name])) for name, paths in pictures.items() if not paths
    ]


def _empty_class(folder: Path, files: int) -> str:
    others = f"{files:,} other files; " if files else ""
    return (
        f"{folder}: no pictures in this class ({others}{_LOOKED_FOR}); add some or move the folder elsewhere"
    )


def _nothing_found(folder: Path) -> str:
    loose = sum(map(is_picture_name, _files(folder)))
    if loose:
        return (
            f"{folder}: its {loose:,} pictures lie in no class; "
            "put each class into a subfolder of its own, or list path,label in a CSV"
        )
    return f"{folder}: no pictures ({_LOOKED_FOR}, in a subfolder for each class)"


def _differences(
    folder: Path, parts: Mapping[SplitName, Path], classes: Mapping[SplitName, set[str]]
) -> list[str]:
    """A line for each part whose classes are not those of train."""
    lines = []
    train = parts["train"].name
    for part, names in classes.items():
        missing, extra = classes.get("train", names) - names, names - classes.get("train", names)
        sides = [(train, missing), (parts[part].name, extra)]
        shown = "; ".join(f"only in {side}/: {', '.join(sorted(only))}" for side, only in sides if only)
        if shown:
            pair = f"{train}/ and {parts[part].name}/"
            lines.append(f"{folder}: {pair} hold different classes ({shown}); make them the same")
    return lines


def _subfolders(folder: Path) -> list[Path]:
    """Those that may be classes or parts: visible, and not there for runs."""
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError as error:
        raise _unreadable(error) from None
    return [path for path in found if not holds_runs(path)]


def _files(folder: Path) -> list[Path]:
    return _walk(folder)[0]


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """All visible files at any depth, sorted, and the folders with runs that were passed over.

    Links to folders are not followed, they may form a loop.
    """
    found, runs = [], []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        visible = [name for name in folders if not is_hidden(name)]
        passed = {name for name in visible if holds_runs(Path(place, name))}
        folders[:] = [name for name in visible if name not in passed]
        found += [Path(place, name) for name in files if not is_hidden(name)]
        runs += [Path(place, name) for name in passed]
    return sorted(found), sorted(runs)


def _refuse(error: OSError) -> None:
    raise _unreadable(error)


def _unreadable(error: OSError) -> DataError:
    return DataError(f"{error.filename}: cannot be read ({error.strerror or error})")
