"""The allow-list: which files are pictures, recognised by their first bytes and never by their name."""

from __future__ import annotations

import importlib
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["FORMATS", "SIGNATURE_LENGTH", "SUFFIXES", "Format", "identify", "is_picture_name"]


class Format(NamedTuple):
    """One kind of picture file: its name, its first bytes, its file names, and Pillow's name of it."""

    name: str
    signature: re.Pattern[bytes]
    suffixes: tuple[str, ...]
    plugin: str

    def open(self, stream: BinaryIO) -> ImageFile:
        """Read the header. Pillow's readers are imported when first needed: most programs meet one kind."""
        module = importlib.import_module(f"PIL.{self.plugin}ImagePlugin")
        image: ImageFile = getattr(module, f"{self.plugin}ImageFile")(stream)
        return image


def _bytes(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# Of animations and stacks, the first picture is read.
FORMATS = (
    Format("JPEG", _bytes(rb"\xff\xd8\xff"), (".jpg", ".jpeg", ".jpe"), "Jpeg"),
    Format("PNG", _bytes(rb"\x89PNG\r\n\x1a\n"), (".png",), "Png"),
    Format("WebP", _bytes(rb"RIFF....WEBP"), (".webp",), "WebP"),
    Format("BMP", _bytes(rb"BM"), (".bmp",), "Bmp"),
    Format("GIF", _bytes(rb"GIF8[79]a"), (".gif",), "Gif"),
    Format("TIFF", _bytes(rb"II[*+]\0|MM\0[*+]"), (".tif", ".tiff"), "Tiff"),
)

# Bytes that decide which format it is.
SIGNATURE_LENGTH = 12

# Endings of the files that a folder is searched for, in lower case.
SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)


def identify(head: bytes) -> Format | None:
    """Find the format whose signature the first `SIGNATURE_LENGTH` bytes carry; None for anything else."""
    return next((format_ for format_ in FORMATS if format_.signature.match(head)), None)


def is_picture_name(name: str | PurePath) -> bool:
    """Whether a file of this name is taken for a picture when a folder is searched."""
    return PurePath(name).suffix.lower() in SUFFIXES
