"""All pictures of a part in memory at once, at the size the network sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.data.dataset import Dataset
from smidgen.data.parallel import Progress, map_threads
from smidgen.graph.network import Preprocess
from smidgen.images import Pixels, resize_crop
from smidgen.spec import DataError, Shape

__all__ = ["MEMORY_LIMIT", "load_pixels"]

# Bytes that decoded pictures may take; above it `load_pixels` refuses.
MEMORY_LIMIT = 4 * 2**30


def load_pixels(
    dataset: Dataset,
    indices: Sequence[int],
    shape: Shape,
    preprocess: Preprocess,
    progress: Progress | None = None,
) -> Pixels:
    """Decode pictures, resize and crop them, in as many threads as there are processors.

    indices  of the pictures, in the order wanted
    returns  uint8[N, shape.height, shape.width, shape.channels]
    Raises   DataError when the result would exceed MEMORY_LIMIT, before anything is decoded;
             PictureError at the first picture that cannot be decoded.
    """
    _require_memory(len(indices), shape)
    pixels = np.empty((len(indices), shape.height, shape.width, shape.channels), np.uint8)

    def load(position: int) -> None:
        picture = dataset.pictures[indices[position]].read(shape.channels)
        pixels[position] = resize_crop(picture, shape, preprocess)

    map_threads(load, range(len(indices)), progress)
    return pixels


def _require_memory(count: int, shape: Shape) -> None:
    needed = count * shape.numel
    if needed <= MEMORY_LIMIT:
        return
    side = math.isqrt(MEMORY_LIMIT // (count * shape.channels)) // 8 * 8
    advice = f"resolution {side} fits" if side else "use fewer pictures"
    raise DataError(
        f"{count:,} pictures at {shape} take {needed / 2**30:.1f} GiB of memory, "
        f"above the limit of {MEMORY_LIMIT / 2**30:g} GiB; {advice}"
    )
