"""A picture, in whatever form it comes, as pixels."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smidgen.images import MAX_PIXELS, Pixels, decode
from smidgen.images.appearance import to_pixels
from smidgen.spec import PictureError

__all__ = ["Picture", "pixels_of"]

# A file's path, a PIL picture, or uint8[H, W] or [H, W, C] with C of 1 (grey), 3 (colour) or 4 (with alpha).
Picture: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


def pixels_of(picture: object, channels: int) -> Pixels:
    """Decode or convert one picture to uint8[H, W, channels]. Raises PictureError."""
    if isinstance(picture, str | os.PathLike):
        return decode(picture, channels)
    if isinstance(picture, Image.Image):
        return _from_pil(picture, channels)
    if isinstance(picture, np.ndarray):
        return _from_array(picture, channels)
    raise PictureError(
        f"{type(picture).__name__}: not a picture; a path, a PIL picture or a uint8 array is needed"
    )


def _from_pil(image: Image.Image, channels: int) -> Pixels:
    name = getattr(image, "filename", "") or "PIL picture"
    if not 0 < image.width * image.height <= MAX_PIXELS:
        size = f"{image.width:,} x {image.height:,}"
        raise PictureError(f"{name}: {size} is outside 1 to {MAX_PIXELS:,} pixels")
    try:
        image.load()
        return to_pixels(image, channels)
    except MemoryError:
        raise
    except Exception as error:  # a file read late and damaged: Pillow raises a dozen different types
        raise PictureError(f"{name}: cannot be used ({' '.join(str(error).split())})") from error


def _from_array(array: NDArray[Any], channels: int) -> Pixels:
    found = f"an array {array.dtype}{list(array.shape)}"
    if array.dtype != np.uint8:
        raise PictureError(f"{found} is no picture; uint8 is needed, values 0 to 255, not yet normalised")
    picture = array[:, :, None] if array.ndim == 2 else array
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size:
        raise PictureError(f"{found} is no picture; uint8[H, W] or [H, W, C] with C of 1, 3 or 4 is needed")
    return to_pixels(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture), channels)
