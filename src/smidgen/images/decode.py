"""From a file to pixels, refusing what is damaged, foreign or far too large."""

from __future__ import annotations

import io
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from smidgen.images.appearance import SampleError, to_pixels
from smidgen.images.filetypes import FORMATS, SIGNATURE_LENGTH, Format, identify
from smidgen.images.pixels import Pixels
from smidgen.spec import PictureError

__all__ = ["MAX_PIXELS", "decode", "decode_plain"]

# Checked in the header, before any pixel is decoded. 2^26 admits the 64-megapixel cameras
# (9,248 x 6,936) and stays below the size at which Pillow would only warn of a decompression bomb.
MAX_PIXELS = 2**26


def decode(source: str | os.PathLike[str] | bytes | BinaryIO, channels: int, *, name: str = "") -> Pixels:
    """Decode one picture as a person would expect to see it.

    Orientation is applied, transparency is laid on white, 16-bit samples are scaled to 8, palettes and
    CMYK become RGB; of animations and stacks the first picture is read.

    source    a path, the bytes of a file, or an open binary file (read to its end)
    channels  1 for grey, 3 for red, green, blue
    name      stands in errors instead of the source's own name
    returns   uint8[H, W, channels]
    Raises    PictureError, one line that starts with the path, when the file is missing, unreadable, not
              of an allowed format, truncated, damaged, or above MAX_PIXELS.
              ValueError when channels is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels={channels}: a picture decodes to 1 (grey) or 3 (colour) channels")
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), channels, name or "picture")
    if isinstance(source, str | os.PathLike):
        return _decode_file(Path(source), channels, name or os.fspath(source))
    own_name = getattr(source, "name", None)
    return _decode(
        io.BytesIO(source.read()), channels, name or (own_name if isinstance(own_name, str) else "picture")
    )


def decode_plain(path: Path) -> Pixels:
    """Decode a file as `decode` does, to one channel where the picture is grey everywhere, else to three.

    returns  uint8[H, W, 1 or 3]
    Raises   PictureError as `decode` does.
    """
    return _decode_file(path, None, os.fspath(path))


def _decode_file(path: Path, channels: int | None, name: str) -> Pixels:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
            raise PictureError(f"{name}: not a file")
        with path.open("rb") as stream:
            return _decode(stream, channels, name)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"{name}: cannot be read ({reason})") from None


def _decode(stream: BinaryIO, channels: int | None, name: str) -> Pixels:
    format_ = _format(stream, name)
    try:
        # The readers are called by name: Image.open would try its own list of formats, and would warn
        # of bombs through `warnings`, whose filters no thread can set for itself alone.
        image = format_.open(stream)
        _check_size(image, name)
        image.load()
        return to_pixels(image, channels)
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # foreign bytes in a C decoder: Pillow raises a dozen different types
        raise PictureError(f"{name}: {_damage(format_, error, stream)}") from error


def _format(stream: BinaryIO, name: str) -> Format:
    head = stream.read(SIGNATURE_LENGTH)
    stream.seek(0)
    format_ = identify(head)
    if format_ is None:
        known = ", ".join(format_.name for format_ in FORMATS)
        raise PictureError(f"{name}: not a picture; {known} are read" if head else f"{name}: empty file")
    return format_


def _check_size(image: ImageFile.ImageFile, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        size = f"{width:,} x {height:,} is {width * height:,} pixels"
        raise PictureError(f"{name}: {size}, above the limit of {MAX_PIXELS:,}; make it smaller")


def _damage(format_: Format, error: Exception, stream: BinaryIO) -> str:
    """Say what is wrong with the file."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"its header declares more than {MAX_PIXELS:,} pixels; make it smaller"
    if isinstance(error, SampleError):
        return str(error)
    length = stream.seek(0, io.SEEK_END)
    reason = " ".join(str(error).split())
    # The readers hand on what happened when a header ended too early as the cause of a SyntaxError.
    causes = (error, error.__cause__)
    ran_out = any(isinstance(cause, EOFError | IndexError | struct.error) for cause in causes)
    if ran_out or "truncated" in reason.lower() or _ends_early(format_, stream, length):
        return f"truncated {format_.name} (ends after {length:,} bytes)"
    return f"damaged {format_.name} ({reason or type(error).__name__})"


def _ends_early(format_: Format, stream: BinaryIO, length: int) -> bool:
    """Whether the length that the file declares for itself lies past its end."""
    if format_.name != "WebP":
        return False
    stream.seek(4)
    return int.from_bytes(stream.read(4), "little") + 8 > length
