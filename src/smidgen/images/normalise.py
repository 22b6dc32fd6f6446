"""From bytes to the numbers that a network was trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.graph.network import Preprocess
from smidgen.images.pixels import Pixels
from smidgen.spec import ShapeError

__all__ = ["normalise"]


def normalise(batch: Pixels, preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """Bring pixels to the 0..1 scale, subtract the mean, divide by the standard deviation.

    batch    uint8[N, h, w, C]
    returns  float32[N, C, h, w], contiguous
    Raises   ShapeError when mean or std do not have one value per channel.
    """
    channels = batch.shape[3]
    if len(preprocess.mean) != channels or len(preprocess.std) != channels:
        values = f"{len(preprocess.mean)} means and {len(preprocess.std)} deviations"
        raise ShapeError(f"{values} for pictures of {channels} channels; one per channel is needed")
    numbers = batch.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    numbers /= 255
    numbers -= np.array(preprocess.mean, np.float32)[:, None, None]
    numbers /= np.array(preprocess.std, np.float32)[:, None, None]
    return numbers
