"""A data set as a value: pictures with labels, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from PIL import Image

from smidgen.images import Pixels, decode
from smidgen.images.appearance import to_pixels
from smidgen.spec import DataError, PictureError

__all__ = [
    "PART_NAMES",
    "ColourPicture",
    "Dataset",
    "EncodedPicture",
    "FilePicture",
    "MemoryPicture",
    "PackedPicture",
    "Picture",
    "SplitName",
    "require_sound",
]

SplitName: TypeAlias = Literal["train", "val", "test"]

# What people call the parts, in lower case.
PART_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class Picture(Protocol):
    """One labelled picture that can be read, any number of times and from any thread."""

    @property
    def name(self) -> str:
        """Unique in its data set; for files the path below the folder, with forward slashes."""

    @property
    def label(self) -> int:
        """Index into the data set's classes, -1 when unknown."""

    def read(self, channels: int) -> Pixels:
        """Return uint8[H, W, channels]. Raises PictureError when the picture cannot be used."""


@dataclass(frozen=True, slots=True)
class FilePicture:
    """A picture in a file, decoded at each reading."""

    path: Path
    name: str
    label: int = -1

    def read(self, channels: int) -> Pixels:
        """Decode the file to uint8[H, W, channels]."""
        return decode(self.path, channels)


@dataclass(frozen=True, slots=True, eq=False)
class MemoryPicture:
    """A grey picture that is already in memory, uint8[H, W]."""

    name: str
    label: int
    grey: Pixels

    def read(self, channels: int) -> Pixels:
        """Return a copy as uint8[H, W, channels]."""
        return np.repeat(self.grey[:, :, None], channels, axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class ColourPicture:
    """A colour picture that is already in memory, uint8[H, W, 3]."""

    name: str
    label: int
    pixels: Pixels

    def read(self, channels: int) -> Pixels:
        """Return a copy as uint8[H, W, channels]."""
        return to_pixels(Image.fromarray(self.pixels), channels)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPicture:
    """A picture whose file is in memory, decoded at each reading."""

    name: str
    label: int
    content: bytes

    def read(self, channels: int) -> Pixels:
        """Decode the file to uint8[H, W, channels]."""
        return decode(self.content, channels, name=self.name)


@dataclass(frozen=True, slots=True)
class PackedPicture:
    """A picture inside an archive that is not compressed, read from its place in it at each reading."""

    archive: Path
    name: str
    label: int
    start: int
    length: int

    def read(self, channels: int) -> Pixels:
        """Decode it to uint8[H, W, channels]."""
        try:
            with self.archive.open("rb") as file:
                file.seek(self.start)
                content = file.read(self.length)
        except OSError as error:
            raise PictureError(f"{self.archive}: cannot be read ({error.strerror or error})") from None
        return decode(content, channels, name=self.name)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled pictures in a fixed order.

    source       where they come from: the path as given, or a citation
    classes      names in the order of the labels
    given_split  the part that each picture belongs to, where the data says so, otherwise None
    ignored      names of visible files that were passed over because they are not pictures of a class, and
                 of folders, with a slash at the end, because they hold runs
    groups       what each picture belongs with (a person, a place, a film), "" for nothing, where asked for
    problems     why it cannot be trained on, one line each; empty in what `open_dataset` returns
    """

    name: str
    source: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    given_split: tuple[SplitName, ...] | None = None
    ignored: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()


def require_sound(dataset: Dataset) -> Dataset:
    """Return the data set itself.

    Raises   DataError with the first of its problems, and how many more there are.
    """
    if not dataset.problems:
        return dataset
    first, more = dataset.problems[0], len(dataset.problems) - 1
    rest = f" ({more:,} more: `smidgen check` lists all)" if more else ""
    raise DataError(first + rest)
