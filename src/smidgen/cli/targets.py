"""Arguments that several commands share: a network by name or file, and how it is varied."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from smidgen import families, modelfile
from smidgen.cli import gate
from smidgen.graph import Network
from smidgen.spec import SmidgenError, UnknownNameError

__all__ = [
    "STDOUT",
    "csv_option",
    "csv_table",
    "device_option",
    "is_file",
    "network_options",
    "open_network",
    "output_option",
    "require_known",
    "require_table",
    "write_table",
]

STDOUT = "-"

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
    """-o FILE; to be looked at with `gate.require` before the work."""
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", type=kind, required=required, metavar="FILE", help=help)


def csv_option(*, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """--csv FILE, or - for stdout; for `require_table` before the work and `csv_table` or `write_table`."""
    return click.option("--csv", "csv_file", metavar="FILE", help=f"{help}, - for standard output.")


def require_table(
    csv_file: str | None, columns: Sequence[str], as_json: bool, reads: Iterable[str | Path] = ()
) -> None:
    """See before the work that its table can be written, and that nothing is lost by it.

    Raises   SmidgenError as `gate.require`; where CSV and JSON would both go to standard output.
    """
    if csv_file == STDOUT and as_json:
        raise SmidgenError(
            "--csv - and --json would both print; give one of them, or name a file for the CSV"
        )
    if csv_file not in (None, STDOUT):
        if csv_file.startswith(("/dev/", "/proc/")):
            raise SmidgenError(f"{csv_file}: cannot be written (not a regular file); - is standard output")
        gate.require(Path(csv_file), gate.table(columns), reads)


@contextlib.contextmanager
def csv_table(
    csv_file: str | None, columns: Sequence[str], kind: Sequence[str] | None = None
) -> Iterator[Callable[[Sequence[object]], None]]:
    """What writes a row; a file has its old content until all rows are there. Without a file, nothing does.

    kind     the columns with which an older table begins, where these are not always the same
    Raises   SmidgenError where the file cannot be written.
    """
    if csv_file is None:
        yield lambda _row: None
    elif csv_file == STDOUT:
        yield _writer(sys.stdout, columns)
    else:
        path = Path(csv_file)
        with (
            gate.replacing(path, gate.table(kind or columns)) as temporary,
            # Half characters of file names in foreign encodings are escaped, as everywhere.
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        ):
            try:
                yield _writer(stream, columns)
                stream.flush()
            except OSError as error:
                raise (gate.cannot(path, error) if error.filename is None else error) from None


def write_table(csv_file: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """All rows at once."""
    with csv_table(csv_file, columns) as write:
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


def is_file(target: str) -> bool:
    """Whether a NAME|FILE argument means a file: it exists, or looks like a path."""
    path = Path(target)
    return path.is_file() or path.suffix == ".safetensors" or len(path.parts) > 1


def require_known(model: str) -> None:
    """Refuse what is neither a model file nor a name with published weights, before torch is loaded for it.

    Raises   ModelFileError, UnknownNameError, WeightsError
    """
    if model in families.names():
        from smidgen import weights

        weights.find(model)
    else:
        from smidgen.engine.predictor import model_path

        modelfile.read(model_path(model))


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
