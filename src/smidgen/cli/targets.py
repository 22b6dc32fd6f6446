"""Arguments that several commands share: a network by name or file, and how it is varied."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from smidgen import families, gate
from smidgen.cli.output import say
from smidgen.spec import SmidgenError

__all__ = [
    "STDOUT",
    "csv_option",
    "csv_table",
    "device_option",
    "dropped_strides_option",
    "network_options",
    "output_option",
    "require_table",
    "write_table",
]

STDOUT = "-"

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def dropped_strides_option(function: Decorated) -> Decorated:
    """--dropped-strides N."""
    return click.option(
        "--dropped-strides",
        type=click.IntRange(0, families.MOST_STRIDES),
        metavar="N",
        help="Strides, first ones first, that become 1.  [default: as few as small pictures need; inside a "
        "budget, 0 too]",
    )(function)


def network_options(function: Decorated) -> Decorated:
    """Add --classes, --channels, --resolution, --dropped-strides to a command that takes a name."""
    for option in reversed(
        (
            click.option("--classes", "num_classes", type=int, metavar="N", help="Number of classes."),
            click.option("--channels", "c_in", type=int, metavar="N", help="Channels of the pictures."),
            click.option("--resolution", type=int, metavar="PIXELS", help="Side of the pictures."),
            click.option("--dropped-strides", type=int, metavar="N", help="Strides that become 1."),
        )
    ):
        function = option(function)
    return function


def output_option(*, required: bool, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """-o FILE; to be looked at with `gate.require` before the work."""
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", type=kind, required=required, metavar="FILE", help=help)


def csv_option(*, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """--csv FILE, or - for stdout; for `require_table` before the work and `csv_table` or `write_table`."""
    return click.option(
        "--csv", "csv_file", metavar="FILE", callback=_no_swallowed, help=f"{help}, - for standard output."
    )


def _no_swallowed(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """The value of --csv. Raises SmidgenError where it was meant for something else, as of a flag."""
    if value in (None, STDOUT):
        return value
    asked = "--csv takes the name of a file, or - for standard output"
    if value.startswith("-"):
        raise SmidgenError(f"--csv {value}: {asked}; for a file of that name write ./{value}")
    if {*"*?"} & {*value} or families.names(value):
        raise SmidgenError(f"--csv '{value}': {asked}, and this stands for networks or pictures")
    return value


def require_table(
    csv_file: str | None, kind: gate.Kind, as_json: bool, reads: Iterable[str | Path] = ()
) -> None:
    """See before the work that its table can be written, and that nothing is lost by it.

    kind     tables that may be written over

    Raises   SmidgenError as `gate.require`; where CSV and JSON would both go to standard output.
    """
    if csv_file == STDOUT and as_json:
        raise SmidgenError(
            "--csv - and --json would both print; give one of them, or name a file for the CSV"
        )
    if csv_file not in (None, STDOUT):
        path = Path(csv_file)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise SmidgenError(f"{csv_file}: cannot be written (not a regular file); - is standard output")
        gate.require(path, kind, reads)


@contextlib.contextmanager
def csv_table(
    csv_file: str | None, columns: Sequence[str], kind: gate.Kind | None = None
) -> Iterator[Callable[[Sequence[object]], None]]:
    """What writes a row; a file has its old content until all rows are there, and is named then.

    kind     tables that may be written over; default: those of these columns
    Raises   SmidgenError where the file cannot be written.
    """
    if csv_file is None:
        yield lambda _row: None
    elif csv_file == STDOUT:
        yield _writer(sys.stdout, columns)
    else:
        path = Path(csv_file)
        with (
            gate.replacing(path, kind or gate.table(columns)) as temporary,
            # Half characters of file names in foreign encodings are escaped, as everywhere.
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        ):
            try:
                yield _writer(stream, columns)
                stream.flush()
            except OSError as error:
                raise (gate.cannot(path, error) if error.filename is None else error) from None
        say(f"{path}: written", err=True)


def write_table(
    csv_file: str, columns: Sequence[str], rows: Iterable[Sequence[object]], kind: gate.Kind | None = None
) -> None:
    """All rows at once."""
    with csv_table(csv_file, columns, kind) as write:
        for row in rows:
            write(row)


def _writer(stream: IO[str], columns: Sequence[str]) -> Callable[[Sequence[object]], None]:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    return writer.writerow


def device_option(function: Decorated) -> Decorated:
    """Add --device FILE, the machine whose milliseconds are predicted."""
    return click.option(
        "--device",
        type=click.Path(path_type=Path),
        metavar="DEVICE.json",
        help="Whose milliseconds count, from `smidgen info --measure`; default: this machine.",
    )(function)
