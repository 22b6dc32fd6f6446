"""The allow-list: which files are pictures, recognised by their first bytes and never by their name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

__all__ = ["FORMATS", "SIGNATURE_LENGTH", "SUFFIXES", "Format", "identify", "is_picture_name"]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of picture file: its name, its first bytes, its file names, and who decodes it."""

    name: str
    signature: re.Pattern[bytes]
    suffixes: tuple[str, ...]
    reader: type[ImageFile]


def _bytes(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# Of animations and stacks, the first picture is read.
FORMATS = (
    Format("JPEG", _bytes(rb"\xff\xd8\xff"), (".jpg", ".jpeg", ".jpe"), JpegImageFile),
    Format("PNG", _bytes(rb"\x89PNG\r\n\x1a\n"), (".png",), PngImageFile),
    Format("WebP", _bytes(rb"RIFF....WEBP"), (".webp",), WebPImageFile),
    Format("BMP", _bytes(rb"BM"), (".bmp",), BmpImageFile),
    Format("GIF", _bytes(rb"GIF8[79]a"), (".gif",), GifImageFile),
    Format("TIFF", _bytes(rb"II[*+]\0|MM\0[*+]"), (".tif", ".tiff"), TiffImageFile),
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
