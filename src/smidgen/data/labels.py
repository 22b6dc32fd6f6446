"""Labels in a CSV file: one row per picture, with the columns path and label, and if wanted split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from smidgen.data.dataset import PART_NAMES, Dataset, FilePicture, require_sound
from smidgen.spec import DataError

__all__ = ["inspect_labels", "open_labels"]


class _LabelRow(NamedTuple):
    line: int
    path: str
    label: str
    split: str


def open_labels(file: Path) -> Dataset:
    """Read path,label rows; no picture is opened. Paths are relative to the folder of the CSV.

    A third column, split, gives each picture's part: train, val or test. The separator is a comma, a
    semicolon or a tab, as the header shows; the encoding is UTF-8.

    Raises   DataError when the file is missing or not such a CSV, when a listed picture does not exist or
             is listed twice, when a label or part is missing, or when there is only one class.
    """
    return require_sound(inspect_labels(file))


def inspect_labels(file: Path) -> Dataset:
    """Read a CSV as `open_labels` does, and note everything that is wrong in the data set's problems.

    Raises   DataError when there is nothing to note it about: no such file, no CSV, no row of use.
    """
    listed = _read(file)
    if not listed:
        raise DataError(f"{file}: no rows below the header; each needs a path and a label")
    rows, problems = _sound_rows(file, listed)
    if not rows:
        raise DataError(problems[0])
    classes = tuple(sorted({row.label for row in listed if row.label}))
    if len(classes) < 2:
        problems.append(f"{file}: only one class, {classes[0]}; a classifier needs at least 2 labels")
    numbers = {name: number for number, name in enumerate(classes)}
    given = any(row.split for row in rows)
    return Dataset(
        name=file.stem,
        source=str(file),
        classes=classes,
        pictures=tuple(FilePicture(file.parent / row.path, row.path, numbers[row.label]) for row in rows),
        given_split=tuple(PART_NAMES[row.split.lower()] for row in rows) if given else None,
        problems=tuple(problems),
    )


def _read(file: Path) -> list[_LabelRow]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return list(_rows(file, stream))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save the CSV in that encoding") from None
    except csv.Error as error:
        raise DataError(f"{file}: not a CSV ({error})") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from None


def _rows(file: Path, stream: TextIO) -> Iterator[_LabelRow]:
    """Rows below the header, blank ones left out."""
    header = stream.readline()
    delimiter = max(",;\t", key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    _require_columns(file, columns)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    for cells in reader:
        cell = dict(zip(columns, map(str.strip, cells), strict=False))
        if not any(cell.values()):
            continue
        yield _LabelRow(reader.line_num + 1, *(cell.get(name, "") for name in ("path", "label", "split")))


def _require_columns(file: Path, columns: Sequence[str]) -> None:
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        has = ", ".join(filter(None, columns)) or "none"
        raise DataError(
            f"{file}: no column {' and no '.join(missing)}; path and label are needed, it has {has}"
        )


def _sound_rows(file: Path, rows: Sequence[_LabelRow]) -> tuple[list[_LabelRow], list[str]]:
    """Rows that name an existing picture once, with a label and, if any row has one, a part; and the rest."""
    sound: list[_LabelRow] = []
    missing: list[_LabelRow] = []
    problems: list[str] = []
    lines: dict[Path, int] = {}
    given = any(row.split for row in rows)
    for row in rows:
        path = file.parent / row.path
        complaint = _complaint(row, lines.get(path), given)
        if complaint:
            problems.append(f"{file}, line {row.line}: {complaint}")
        elif not path.is_file():
            missing.append(row)
        else:
            sound.append(row)
        lines.setdefault(path, row.line)
    share = f"{len(missing):,} of {len(rows):,} pictures missing"
    problems += [f"{file}, line {row.line}: no file {file.parent / row.path}; {share}" for row in missing]
    return sound, problems


def _complaint(row: _LabelRow, earlier: int | None, given: bool) -> str:
    if not row.path or not row.label:
        return f"no {'label' if row.path else 'path'}; each row needs both"
    if earlier is not None:
        return f"{row.path} stands in line {earlier} already; keep one"
    if given and row.split.lower() not in PART_NAMES:
        return f"'{row.split}' is no part; split is train, val or test"
    return ""
