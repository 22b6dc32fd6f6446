"""All pictures of a part at once, at the size the network sees: in memory, or on disk where they are many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from smidgen.data.dataset import Dataset
from smidgen.data.memory import on_disk, pictures_limit
from smidgen.data.parallel import Progress, map_threads
from smidgen.graph.network import Preprocess
from smidgen.images import Pixels, resize
from smidgen.spec import DataError, Shape

__all__ = ["load_pixels"]


def load_pixels(
    dataset: Dataset,
    indices: Sequence[int],
    shape: Shape,
    preprocess: Preprocess,
    progress: Progress | None = None,
    *,
    kept: Mapping[int, Pixels] | None = None,
    scratch: Path | None = None,
) -> Pixels:
    """Decode pictures and resize them to the shape, in as many threads as there are processors.

    indices  of the pictures, in the order wanted
    kept     pictures that are decoded already, as a survey keeps them
    scratch  folder on a disk: what exceeds `pictures_limit()` is put there, into a file without a name
    returns  uint8[N, shape.height, shape.width, shape.channels], memory-mapped where it lies on disk
    Raises   DataError when the result would exceed the limit and there is no scratch, or no room in it,
             before anything is decoded; PictureError at the first picture that cannot be decoded.
    """
    sizes = (len(indices), shape.height, shape.width, shape.channels)
    if len(indices) * shape.numel <= pictures_limit():
        pixels = np.empty(sizes, np.uint8)
    elif scratch is not None:
        pixels = on_disk(sizes, scratch)
    else:
        raise _too_much(len(indices), shape)
    ready = kept or {}

    def load(position: int) -> None:
        index = indices[position]
        if index in ready:
            picture = _with_channels(ready[index], shape.channels)
        else:
            picture = dataset.pictures[index].read(shape.channels)
        pixels[position] = resize(picture, shape, preprocess)

    map_threads(load, range(len(indices)), progress)
    return pixels


def _with_channels(picture: Pixels, channels: int) -> Pixels:
    """What decoding to so many channels would have given."""
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    return np.asarray(Image.fromarray(picture).convert("L"))[:, :, None]


def _too_much(count: int, shape: Shape) -> DataError:
    limit = pictures_limit()
    side = math.isqrt(limit // (count * shape.channels)) // 8 * 8
    advice = f"resolution {side} fits" if side else "use fewer pictures"
    return DataError(
        f"{count:,} pictures at {shape} take {count * shape.numel / 2**30:.1f} GiB of memory, "
        f"above the limit of {limit / 2**30:.3g} GiB; {advice}, and SMIDGEN_MEMORY sets the limit"
    )
