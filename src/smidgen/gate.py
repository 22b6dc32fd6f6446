"""The gate for every file that a command writes: nothing is written over but what the command made itself."""

from __future__ import annotations

import contextlib
import csv
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from smidgen import atomic, modelfile
from smidgen.machine import machine_name
from smidgen.seal import is_sealed
from smidgen.spec import SmidgenError

__all__ = [
    "CARD",
    "CONVERTED",
    "DEVICE",
    "FIGURE",
    "PAGE",
    "PLOT",
    "TRAINED",
    "Kind",
    "cannot",
    "replacing",
    "require",
    "require_run",
    "same_as",
    "table",
    "unharmed",
]

_HEAD = 1 << 16  # bytes from which a file is recognised
_MODEL_NAMES = (".safetensors", ".pth", ".pt")


class Kind(NamedTuple):
    """What a command makes.

    name      of such a file
    is_ours   whether a file that exists was made by this command, from its path and its first bytes
    pictures  whether its name may end like that of a picture, or for `models` of a model file
    named     whether the user has named it, and may name another
    """

    name: str
    is_ours: Callable[[Path, bytes], bool]
    pictures: bool = False
    models: bool = False
    named: bool = True


def table(columns: Sequence[str], is_header: Callable[[list[str]], bool] | None = None) -> Kind:
    """A CSV whose header is these columns and no others, or that `is_header` knows."""

    def is_ours(_path: Path, head: bytes) -> bool:
        line = head.decode("utf-8-sig", "replace").split("\n", 1)[0]
        with contextlib.suppress(csv.Error, StopIteration):
            header = next(csv.reader([line]))
            return is_header(header) if is_header else header == [*columns]
        return False

    more = ", …" if len(columns) > 4 or is_header else ""
    return Kind(f"a table with the columns {','.join(columns[:4])}{more} alone", is_ours)


def _is_model_with(key: str) -> Callable[[Path, bytes], bool]:
    """Whether a file is a model file whose provenance has this key."""

    def is_ours(path: Path, _head: bytes) -> bool:
        with contextlib.suppress(SmidgenError):
            return key in modelfile.read(path).provenance
        return False

    return is_ours


def _is_device(path: Path, _head: bytes) -> bool:
    from smidgen.scaling import device

    with contextlib.suppress(SmidgenError):
        return device.read(path).machine == machine_name()
    return False


def _is_sealed(path: Path, _head: bytes) -> bool:
    with contextlib.suppress(OSError):
        return is_sealed(path.read_bytes())
    return False


def _is_plot(_path: Path, head: bytes) -> bool:
    """A mark in the metadata, as matplotlib writes them into SVG and PNG."""
    svg = head.lstrip().startswith(b"<?xml") and b"smidgen bench" in head
    return svg or (head.startswith(b"\x89PNG") and b"tEXtSoftware\0smidgen bench" in head)


FIGURE = Kind("a figure of `smidgen draw` that nobody has changed", _is_sealed)
PLOT = Kind("a plot of `smidgen bench`", _is_plot, pictures=True)
DEVICE = Kind("a device file of this machine", _is_device)
CONVERTED = Kind("a model file of `smidgen convert`", _is_model_with("converted_from"), models=True)
METRICS = table(("epoch", "step"), lambda header: header[:2] == ["epoch", "step"])._replace(named=False)
TRAINED = Kind("a model file of a training", _is_model_with("test"), models=True, named=False)
PAGE = Kind("a run's page that nobody has changed", _is_sealed, named=False)
CARD = Kind("a model card that nobody has changed", _is_sealed, named=False)


RUN_FILES = {
    "model.safetensors": TRAINED,
    "report.html": PAGE,
    "model_card.md": CARD,
    "metrics.csv": METRICS,
}


def require(path: Path, kind: Kind, reads: Iterable[str | Path] = ()) -> None:
    """See before the work that its result can be written to `path`, and that nothing is lost by it.

    reads    what the command reads
    Raises   SmidgenError where something else than an older result of the same kind is there, where the
             command reads it, or where it cannot be written.
    """
    if str(path).startswith("-"):
        raise SmidgenError(f"'{path}': the name of a file is needed; for a file of that name write ./{path}")
    if not path.name or path.is_dir():
        raise SmidgenError(f"'{path}': a folder; the name of a file is needed")
    if not path.parent.is_dir():
        raise SmidgenError(f"{path.parent}: no such folder to write {path.name} into")
    unharmed(path, kind, reads)
    try:
        atomic.probe(path)
    except OSError as error:
        raise cannot(path, error) from None


def require_run(folder: Path) -> None:
    """See that what a finished run writes, beside its report.json, is written over nothing of anybody's.

    Raises   SmidgenError as `require`.
    """
    for name, kind in RUN_FILES.items():
        require(folder / name, kind)


def unharmed(path: Path, kind: Kind, reads: Iterable[str | Path] = ()) -> None:
    """The part of `require` that may have changed when the work is done."""
    other = "choose another name" if kind.named else "move it away first"
    if any(map(same_as(path), reads)):
        raise SmidgenError(f"{path}: this command reads it and does not write over it; {other}")
    try:
        found = _head(path)
    except OSError as error:
        raise cannot(path, error) from None
    if found and not kind.is_ours(path, found):
        raise SmidgenError(f"{path} holds {_what(found)}, and only {kind.name} is written over; {other}")
    from smidgen.images.filetypes import is_picture_name  # it brings Pillow, which few commands need

    if _is_stream(path):
        raise SmidgenError(f"{path}: is a standard stream of this command; name another file to write")
    if not found and (
        (is_picture_name(path) and not kind.pictures)
        or (path.suffix.lower() in _MODEL_NAMES and not kind.models)
    ):
        raise SmidgenError(f"{path}: {kind.name} is written, and its name is not to end in {path.suffix}")


@contextlib.contextmanager
def replacing(path: Path, kind: Kind, reads: Iterable[str | Path] = ()) -> Iterator[Path]:
    """As `atomic.replacing`, for what may be written over, which is looked at once more at the end.

    Raises   SmidgenError as `require`, and where it cannot be written.
    """
    try:
        with atomic.replacing(path) as temporary:
            yield temporary
            unharmed(path, kind, reads)
    except OSError as error:
        if error.filename is None or Path(error.filename).parent != Path(os.path.realpath(path)).parent:
            raise
        raise cannot(path, error) from None


def same_as(path: Path) -> Callable[[str | Path], bool]:
    """Whether other paths lead to the same file: by links of any kind, by name where it is not there yet."""
    identity = atomic.identity(path)
    real = os.path.realpath(path)

    def is_same(other: str | Path) -> bool:
        if identity is not None:
            return atomic.identity(other) == identity
        return Path(other).name == path.name and os.path.realpath(other) == real

    return is_same


def cannot(path: Path, error: OSError) -> SmidgenError:
    """One line on what the system refused."""
    return SmidgenError(f"{path}: cannot be written ({error.strerror or error})")


def _is_stream(path: Path) -> bool:
    """Whether standard input, output or error of this process is that file."""
    found = set()
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            status = os.fstat(number)
            if stat.S_ISREG(status.st_mode):
                found.add((status.st_dev, status.st_ino))
    return atomic.identity(path) in found


def _head(path: Path) -> bytes:
    """First bytes of what is there. Raises OSError where that is no file, or cannot be read."""
    if not os.path.lexists(path) or not path.exists():  # a link to nowhere: the file will be made there
        return b""
    if not path.is_file():
        return b""  # which the probe refuses
    with path.open("rb") as file:
        return file.read(_HEAD)


def _what(head: bytes) -> str:
    """What a file is, as far as its first bytes tell."""
    from smidgen.images.filetypes import SIGNATURE_LENGTH, identify

    if found := identify(head[:SIGNATURE_LENGTH]):
        return f"a {found.name} picture"
    if head[8:9] == b"{":
        return "a model file"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "a PyTorch file"
    return "something else"
