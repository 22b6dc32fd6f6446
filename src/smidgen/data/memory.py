"""How much memory decoded pictures may take, and room for them on disk where they need more."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smidgen.images import Pixels
from smidgen.spec import BudgetError, DataError, quantity

__all__ = ["MEMORY_LIMIT", "memory_limit", "on_disk"]

# Bytes that decoded pictures may take unless SMIDGEN_MEMORY says otherwise.
MEMORY_LIMIT = 4 * 2**30

_VARIABLE = "SMIDGEN_MEMORY"
_BLOCK = 2**20


def memory_limit() -> int:
    """Bytes that decoded pictures may take: SMIDGEN_MEMORY, written like 2GB, or 4 GiB.

    Raises   DataError when the variable holds no such number.
    """
    asked = os.environ.get(_VARIABLE)
    if not asked:
        return MEMORY_LIMIT
    try:
        limit = quantity(asked)
    except BudgetError as error:
        raise DataError(f"{_VARIABLE}: {error}; or GB or GiB") from None
    if limit < 1:
        raise DataError(f"{_VARIABLE} is '{asked}'; at least 1 byte is needed, 2GB for instance")
    return limit


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
