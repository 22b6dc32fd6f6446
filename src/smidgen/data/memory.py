"""How much memory a training and its decoded pictures may take, and room for these on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smidgen.images import Pixels
from smidgen.machine import memory
from smidgen.spec import BudgetError, DataError, quantity

__all__ = ["memory_limit", "on_disk", "pictures_limit"]

_UNTOLD = 8 * 2**30  # bytes of a machine that does not tell how much memory it has
# Bytes that decoded pictures of one part may take in memory at most: above, a disk is no slower.
_MOST_PICTURES = 4 * 2**30

_VARIABLE = "SMIDGEN_MEMORY"
_BLOCK = 2**20


def memory_limit() -> int:
    """Bytes that this process may take: SMIDGEN_MEMORY, written like 2GB, or half of what the machine has.

    Raises   DataError when the variable holds no such number.
    """
    asked = os.environ.get(_VARIABLE)
    if not asked:
        return (memory() or _UNTOLD) // 2
    try:
        limit = quantity(asked)
    except BudgetError as error:
        raise DataError(f"{_VARIABLE}: {error}; or GB or GiB") from None
    if limit < 1:
        raise DataError(f"{_VARIABLE} is '{asked}'; at least 1 byte is needed, 2GB for instance")
    return limit


def pictures_limit() -> int:
    """Bytes that decoded pictures of one part may take of it: half, and 4 GiB at most."""
    return min(_MOST_PICTURES, memory_limit() // 2)


def on_disk(shape: tuple[int, ...], folder: Path) -> Pixels:
    """Memory-mapped uint8 array of zeros in a file without a name, which dies with the process.

    Raises   DataError when the folder has no room for it, or cannot be written.
    """
    size = int(np.prod(shape))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: no room for {size / 1e9:.1f} GB of decoded pictures ({reason}); "
            f"free some, ask for a smaller resolution, or raise {_VARIABLE} if the memory is there"
        ) from None


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the blocks now: a disk that fills up under a mapped file kills the process without a word."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(_BLOCK)
    for start in range(0, size, _BLOCK):
        file.write(block[: size - start])
    file.flush()
