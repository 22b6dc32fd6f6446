"""CIFAR's binary files: records of a label, or a coarse and a fine one, and 32 x 32 pixels, plane by plane.

Format and MD5 sums of the archives: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smidgen.data.dataset import ColourPicture, Dataset, SplitName
from smidgen.images import Pixels
from smidgen.spec import DataError

__all__ = ["Batch", "Cifar", "read_cifar"]

_SIDE = 32
_BYTES = 3 * _SIDE * _SIDE


class Batch(NamedTuple):
    """One of the published files, and the part that its pictures belong to."""

    part: SplitName
    name: str
    md5: str


class Cifar(NamedTuple):
    """A published set.

    variable     environment variable that names the user's folder
    folder       of the files inside the archive
    label_bytes  before the pixels of each record; the last of them is the class
    """

    name: str
    source: str
    variable: str
    archive: str
    archive_md5: str
    folder: str
    batches: tuple[Batch, ...]
    label_bytes: int
    classes: tuple[str, ...]


def read_cifar(cifar: Cifar) -> Dataset:
    """Read the archive, or the files unpacked from it, whichever the user's folder has.

    Raises   DataError when neither is there, or when it is not the published one.
    """
    pictures: list[ColourPicture] = []
    given: list[SplitName] = []
    for batch, content in _contents(cifar):
        labels, pixels = _records(content, cifar.label_bytes)
        stem = Path(batch.name).stem
        pictures += [
            ColourPicture(f"{stem}/{number:05}", label, picture)
            for number, (label, picture) in enumerate(zip(labels, pixels, strict=True))
        ]
        given += [batch.part] * len(labels)
    return Dataset(cifar.name, cifar.source, cifar.classes, tuple(pictures), tuple(given))


def _records(content: bytes, label_bytes: int) -> tuple[list[int], Pixels]:
    """Labels, and pixels uint8[N, 32, 32, 3]."""
    records = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + _BYTES)
    planes = records[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE)
    return records[:, label_bytes - 1].tolist(), np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _contents(cifar: Cifar) -> Iterator[tuple[Batch, bytes]]:
    """Every batch with its bytes, checked."""
    folder = _folder(cifar)
    if (packed := folder / cifar.archive).is_file():
        _require(packed, _read(packed), cifar.archive_md5)
        with tarfile.open(packed) as archive:
            for batch in cifar.batches:
                stream = archive.extractfile(f"{cifar.folder}/{batch.name}")
                assert stream is not None, "the published archive has every file"
                yield batch, stream.read()
        return
    for batch in cifar.batches:
        content = _read(folder / batch.name)
        _require(folder / batch.name, content, batch.md5)
        yield batch, content


def _folder(cifar: Cifar) -> Path:
    """The user's that has the archive, or the one in which all the files are."""
    chosen = os.environ.get(cifar.variable)
    wanted = f"a folder that has {cifar.archive} of https://www.cs.toronto.edu/~kriz/cifar.html, or its files"
    if not chosen:
        raise DataError(f"{cifar.name} is not on this machine; set {cifar.variable} to {wanted}")
    folder = Path(chosen).expanduser()
    names = [batch.name for batch in cifar.batches]
    if (folder / cifar.archive).is_file():
        return folder
    for place in (folder, folder / cifar.folder):
        if all((place / name).is_file() for name in names):
            return place
    raise DataError(f"{cifar.variable} is {folder}; it must be {wanted} ({', '.join(names)})")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _require(path: Path, content: bytes, md5: str) -> None:
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path}: not the published file, its MD5 is not {md5}; fetch it again")
