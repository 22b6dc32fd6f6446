"""IDX files, in which MNIST and its relatives come: a small header, then bytes."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from smidgen.images import Pixels
from smidgen.spec import DataError

__all__ = ["read_idx"]

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = 8


def read_idx(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    The shape is the caller's; the header must agree with it, so no header decides how much is read.

    Raises   DataError when the file cannot be read, is no such file, has another shape, or is damaged,
             cut short or too long.
    Source   Y. LeCun, C. Cortes, C. Burges: The MNIST database, "File formats"
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if packed:
                with gzip.open(file) as stream:
                    return _read(cast("BinaryIO", stream), path, shape)
            return _read(file, path, shape)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip ({error}); delete it and fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _read(stream: BinaryIO, path: Path, shape: tuple[int, ...]) -> Pixels:
    header = struct.pack(f">HBB{len(shape)}I", 0, _UNSIGNED_BYTES, len(shape), *shape)
    found = stream.read(len(header))
    if found != header:
        wanted = " x ".join(f"{length:,}" for length in shape)
        raise DataError(f"{path}: {_declared(found)}; an IDX file of {wanted} bytes is needed")
    size = int(np.prod(shape))
    content = stream.read(size + 1)
    if len(content) != size:
        length = f"more than {size:,}" if len(content) > size else f"{len(content):,}"
        raise DataError(f"{path}: {length} bytes follow the header, {size:,} are needed")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _declared(header: bytes) -> str:
    """What a header says that is not the wanted one."""
    if len(header) < 4 or header[:2] != b"\0\0":
        return "not an IDX file"
    kind, dimensions = header[2], header[3]
    if kind != _UNSIGNED_BYTES:
        return f"IDX data of type 0x{kind:02x}, not unsigned bytes"
    lengths = header[4:]
    if dimensions * 4 != len(lengths):
        return f"IDX data of {dimensions} dimensions"
    sizes = struct.unpack(f">{dimensions}I", lengths)
    return "it declares " + " x ".join(f"{size:,}" for size in sizes)
