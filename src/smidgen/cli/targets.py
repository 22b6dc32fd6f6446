"""Arguments that several commands share: a network by name or file, and how it is varied."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from smidgen import atomic, families, modelfile
from smidgen.graph import Network
from smidgen.spec import SmidgenError, UnknownNameError

__all__ = [
    "csv_option",
    "csv_table",
    "device_option",
    "is_file",
    "network_options",
    "open_network",
    "output_option",
]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


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
    """-o FILE, whose folder must exist."""

    def check(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and not value.parent.is_dir():
            raise SmidgenError(f"{value.parent}: no such folder to write {value.name} into")
        return value

    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option("-o", "--output", type=kind, required=required, callback=check, help=help)


def csv_option(*, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """--csv FILE, whose folder must exist, or - for stdout; to be written with `csv_table`."""

    def check(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
        if value is None or value == "-":
            return value
        path = Path(value)
        if not value or path.is_dir():
            raise SmidgenError(f"--csv '{value}': the name of a file is needed, or - for standard output")
        if not path.parent.is_dir():
            raise SmidgenError(f"{path.parent}: no such folder to write {path.name} into")
        return value

    return click.option("--csv", "csv_file", metavar="FILE", callback=check, help=help)


@contextlib.contextmanager
def csv_table(
    csv_file: str | None, columns: Sequence[str], as_json: bool
) -> Iterator[Callable[[Sequence[object]], None]]:
    """What writes a row; a file has its old content until all rows are there. Without a file, nothing does.

    Raises   SmidgenError where CSV and JSON would both go to stdout, or the file cannot be written.
    """
    if csv_file == "-" and as_json:
        raise SmidgenError(
            "--csv - and --json would both print; give one of them, or name a file for the CSV"
        )
    with contextlib.ExitStack() as stack:
        if csv_file is None:
            yield lambda _row: None
            return
        stream: IO[str] = sys.stdout
        if csv_file != "-":
            try:
                temporary = stack.enter_context(atomic.replacing(Path(csv_file)))
            except OSError as error:
                raise SmidgenError(f"{csv_file}: cannot be written ({error.strerror or error})") from None
            # Half characters of file names in foreign encodings are escaped, as everywhere.
            stream = stack.enter_context(
                temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            )
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        yield writer.writerow


def device_option(function: Decorated) -> Decorated:
    """Add --device FILE, the machine whose milliseconds are predicted."""
    return click.option(
        "--device",
        type=click.Path(path_type=Path),
        metavar="DEVICE.json",
        help="Whose milliseconds count, from `smidgen info --measure`; default: this machine.",
    )(function)


def is_file(target: str) -> bool:
    """Whether a NAME|FILE argument means a file: it exists, or looks like a path."""
    path = Path(target)
    return path.is_file() or path.suffix == ".safetensors" or len(path.parts) > 1


def open_network(target: str, **options: Any) -> Network:
    """Network of a model file, or of a published name with the options that were given."""
    given = {key: value for key, value in options.items() if value is not None}
    if is_file(target):
        if given:
            raise SmidgenError(
                f"{', '.join(given)}: a model file's network is what it is; options go with a name"
            )
        return modelfile.read(target).network
    try:
        return families.network(target, **given)
    except UnknownNameError as error:
        if target and Path(target).is_dir():
            raise SmidgenError(f"{target} is a folder; a name or a model file is needed here") from None
        raise error from None
