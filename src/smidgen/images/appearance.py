"""What a decoded file looks like to a person: upright, opaque, eight bits, grey or colour.

Colour profiles are not applied; CMYK is converted by Pillow's plain formula.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from smidgen.images.pixels import Pixels

__all__ = ["SampleError", "drop_equal_channels", "to_pixels"]

_ORIENTATION_TAG = 0x0112

# How the stored picture has to be turned. Source: Exif 2.32 (CIPA DC-008-2019), section 4.6.4, tag 274.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class SampleError(ValueError):
    """Samples of a type that nobody can show without knowing their range; the message says what to do."""


def to_pixels(image: Image.Image, channels: int | None) -> Pixels:
    """Pixels of a loaded image as a person sees it.

    channels  1: luma of ITU-R BT.601; 3: red, green, blue; None: 1 for a grey picture, otherwise 3
    returns   uint8[H, W, channels]
    Raises    SampleError when the samples have no agreed range (32-bit integers, floats).
    """
    turn = _UPRIGHT.get(_orientation(image))
    image = _opaque(_eight_bit(image))
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if turn is not None:
        image = image.transpose(turn)
    pixels = np.array(image, np.uint8).reshape(image.height, image.width, -1)
    return pixels if channels is not None else drop_equal_channels(pixels)


def drop_equal_channels(picture: Pixels) -> Pixels:
    """One channel instead of three when all three are equal everywhere: a grey picture stored as colour.

    picture  uint8[H, W, C]
    returns  uint8[H, W, 1] for a grey picture, otherwise the picture itself
    """
    if picture.shape[2] == 1:
        return picture
    grey = picture[:, :, :1]
    return grey if bool((picture == grey).all()) else picture


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata around good pixels: foreign bytes fail in any way they like
        return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Keep the high byte of 16-bit grey samples, as Pillow itself does with 16-bit colour."""
    # Pillow before 11.3 opens a 16-bit PNG in mode I.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "floating-point"
        raise SampleError(f"{kind} samples have no agreed range; save it with 8 or 16 bits per channel")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """Lay the picture on white paper, in mode L or RGB."""
    if image.has_transparency_data:
        image = _straight_alpha(image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    # Every colour space passes through RGB, so that grey is the luma of what colour would show.
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _straight_alpha(image: Image.Image) -> Image.Image:
    return image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode]) if image.mode in ("La", "RGBa") else image
