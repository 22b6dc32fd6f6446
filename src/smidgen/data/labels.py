"""Labels in a CSV file: one row per picture, with the columns path and label, and if wanted split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from smidgen.data.dataset import PART_NAMES, Dataset, FilePicture, SplitName
from smidgen.spec import DataError

__all__ = ["open_labels"]


class _Row(NamedTuple):
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
    rows = _read(file)
    if not rows:
        raise DataError(f"{file}: no rows below the header; each needs a path and a label")
    _require_each_once(file, rows)
    _require_existing(file, rows)
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        raise DataError(f"{file}: only one class, {classes[0]}; a classifier needs at least 2 labels")
    numbers = {name: number for number, name in enumerate(classes)}
    return Dataset(
        name=file.stem,
        source=str(file),
        classes=classes,
        pictures=tuple(FilePicture(file.parent / row.path, row.path, numbers[row.label]) for row in rows),
        given_split=_given_split(file, rows),
    )


def _read(file: Path) -> list[_Row]:
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


def _rows(file: Path, stream: TextIO) -> Iterator[_Row]:
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
        row = _Row(reader.line_num + 1, *(cell.get(name, "") for name in ("path", "label", "split")))
        if not row.path or not row.label:
            raise DataError(
                f"{file}, line {row.line}: no {'label' if row.path else 'path'}; each row needs both"
            )
        yield row


def _require_columns(file: Path, columns: Sequence[str]) -> None:
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        has = ", ".join(filter(None, columns)) or "none"
        raise DataError(
            f"{file}: no column {' and no '.join(missing)}; path and label are needed, it has {has}"
        )


def _require_each_once(file: Path, rows: Sequence[_Row]) -> None:
    first: dict[Path, int] = {}
    for row in rows:
        line = first.setdefault(file.parent / row.path, row.line)
        if line != row.line:
            raise DataError(f"{file}, line {row.line}: {row.path} stands in line {line} already; keep one")


def _require_existing(file: Path, rows: Sequence[_Row]) -> None:
    missing = [row for row in rows if not (file.parent / row.path).is_file()]
    if missing:
        share = f"{len(missing):,} of {len(rows):,} pictures missing"
        first = missing[0]
        raise DataError(f"{file}, line {first.line}: no file {file.parent / first.path}; {share}")


def _given_split(file: Path, rows: Sequence[_Row]) -> tuple[SplitName, ...] | None:
    if not any(row.split for row in rows):
        return None
    for row in rows:
        if row.split.lower() not in PART_NAMES:
            raise DataError(f"{file}, line {row.line}: '{row.split}' is no part; split is train, val or test")
    return tuple(PART_NAMES[row.split.lower()] for row in rows)
