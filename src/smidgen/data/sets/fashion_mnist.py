"""Fashion-MNIST: 70,000 grey pictures of 28 x 28, ten kinds of clothing, 60,000 to train and 10,000 to test.

Read from the folder in SMIDGEN_FASHION_MNIST, from Debian's package dataset-fashion-mnist, or from the
cache, whichever is found first; nothing is downloaded unless `download` is called.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smidgen.data.dataset import Dataset, MemoryPicture, SplitName
from smidgen.data.idx import read_idx
from smidgen.download import ByteProgress, Store
from smidgen.images import Pixels
from smidgen.spec import DataError

__all__ = ["SOURCE", "download", "read"]

SOURCE = (
    "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747, "
    "https://github.com/zalandoresearch/fashion-mnist, MIT"
)

# The authors write T-shirt/top; a class must be able to name a folder.
CLASSES = (
    "T-shirt or top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


class File(NamedTuple):
    """One of the published files: its name without .gz, and SHA-256 of the .gz and of what is in it."""

    name: str
    shape: tuple[int, ...]
    packed_bytes: int
    packed_sha256: str
    content_sha256: str


# https://github.com/zalandoresearch/fashion-mnist#get-the-data. The SHA-256 are those of the files that have
# the MD5 sums published there; Debian packs the same content anew, without the files' names and dates.
IMAGES = {
    "train": File(
        "train-images-idx3-ubyte", (60_000, 28, 28), 26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "test": File(
        "t10k-images-idx3-ubyte", (10_000, 28, 28), 4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
}  # fmt: skip
LABELS = {
    "train": File(
        "train-labels-idx1-ubyte", (60_000,), 29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test": File(
        "t10k-labels-idx1-ubyte", (10_000,), 5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}  # fmt: skip
PARTS: tuple[SplitName, ...] = ("train", "test")

ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

_VARIABLE = "SMIDGEN_FASHION_MNIST"
_STORE = Store("datasets/fashion-mnist", "SMIDGEN_DATA_MIRROR", DataError)


def read() -> Dataset:
    """Read the set. Every file's content is checked against its published hash.

    Raises   DataError when the files are nowhere on this machine, or are not the published ones.
    """
    folder = _folder()
    pictures: list[MemoryPicture] = []
    given: list[SplitName] = []
    for part in PARTS:
        images, labels = (_read(_place(folder, rows[part]), rows[part]) for rows in (IMAGES, LABELS))
        pictures += [
            MemoryPicture(f"{part}/{number:05}", label, grey)
            for number, (label, grey) in enumerate(zip(labels.tolist(), images, strict=True))
        ]
        given += [part] * len(labels)
    return Dataset("fashion-mnist", SOURCE, CLASSES, tuple(pictures), tuple(given))


def download(progress: ByteProgress | None = None) -> None:
    """Fetch the authors' four files into the cache, unless the set is on this machine already.

    progress  called with (bytes so far, bytes in all)
    Raises    DataError when a file cannot be fetched, or is not the published one.
    """
    if os.environ.get(_VARIABLE) or _complete(DEBIAN):
        return
    total, before = sum(file.packed_bytes for file in _files()), 0
    for file in _files():

        def report(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        _STORE.fetch(f"{ADDRESS}/{file.name}.gz", file.packed_sha256, report)
        before += file.packed_bytes


def _files() -> list[File]:
    return [rows[part] for part in PARTS for rows in (IMAGES, LABELS)]


def _folder() -> Path:
    """Where all four files are."""
    if chosen := os.environ.get(_VARIABLE):
        folder = Path(chosen).expanduser()
        for file in _files():
            if _place(folder, file) is None:
                raise DataError(f"{_VARIABLE} is {folder}, which has no {file.name} or {file.name}.gz")
        return folder
    for folder in (DEBIAN, _STORE.folder):
        if _complete(folder):
            return folder
    size = sum(file.packed_bytes for file in _files()) / 1e6
    raise DataError(
        "fashion-mnist is not on this machine; `smidgen check fashion-mnist --download` fetches it "
        f"({size:.0f} MB), or set {_VARIABLE} to a folder that has its files"
    )


def _complete(folder: Path) -> bool:
    return all(_place(folder, file) for file in _files())


def _place(folder: Path, file: File) -> Path | None:
    paths = (folder / f"{file.name}.gz", folder / file.name)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path | None, file: File) -> Pixels:
    assert path is not None, "the folder was chosen because it has every file"
    content = read_idx(path, file.shape)
    header = bytes((0, 0, 8, len(file.shape))) + np.array(file.shape, ">u4").tobytes()
    digest = hashlib.sha256(header)
    digest.update(content.data)
    if digest.hexdigest() != file.content_sha256:
        raise DataError(
            f"{path}: not the published {file.name}, its hash differs; delete it and fetch it again"
        )
    return content
