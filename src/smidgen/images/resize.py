"""From a decoded picture to the size that the network sees."""

from __future__ import annotations

import numpy as np
from PIL import Image

from smidgen.graph.network import Interpolation, Preprocess
from smidgen.images.decode import MAX_PIXELS
from smidgen.images.pixels import Pixels
from smidgen.spec import Shape, ShapeError

__all__ = ["resize_crop"]

_FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def resize_crop(picture: Pixels, shape: Shape, preprocess: Preprocess) -> Pixels:
    """Resize the shorter side to `preprocess.resize`, antialiased, then cut out the middle.

    A picture whose shorter side already has that length is not resampled. Where the crop would reach
    past the resized picture, it is resized further, until it just covers the crop.

    picture  uint8[H, W, C]
    returns  uint8[shape.height, shape.width, C], a new array
    Raises   ShapeError when the picture's channels are not the shape's.
    Source   the sizes and offsets are torchvision's Resize and CenterCrop, which published weights assume
    """
    height, width, channels = picture.shape
    if channels != shape.channels:
        raise ShapeError(f"a picture of {channels} channels met a network for {shape.channels}")
    new_height, new_width = _covering(height, width, preprocess.resize, shape)
    top, left = round((new_height - shape.height) / 2), round((new_width - shape.width) / 2)
    window = (top, left, top + shape.height, left + shape.width)
    if (new_height, new_width) == (height, width):
        return _cut(picture, window).copy()
    image = Image.fromarray(picture[:, :, 0] if channels == 1 else picture)
    resample = _FILTERS[preprocess.interpolation]
    if new_height * new_width > MAX_PIXELS:  # a ribbon: only the window itself is computed
        box = _source_box(window, height / new_height, width / new_width, (height, width))
        return _array(image.resize((shape.width, shape.height), resample, box), channels)
    resized = _array(image.resize((new_width, new_height), resample), channels)
    return _cut(resized, window).copy()


def _covering(height: int, width: int, shorter: int, shape: Shape) -> tuple[int, int]:
    """Size (height, width) after resizing: the asked shorter side, or more where the crop needs it."""
    short = min(height, width)
    size = (shorter * height // short, shorter * width // short)
    if size[0] >= shape.height and size[1] >= shape.width:
        return size
    if shape.height * width >= shape.width * height:  # the height decides, the width follows
        return shape.height, shape.height * width // height
    return shape.width * height // width, shape.width


def _cut(picture: Pixels, window: tuple[int, int, int, int]) -> Pixels:
    top, left, bottom, right = window
    return picture[top:bottom, left:right]


def _source_box(
    window: tuple[int, int, int, int], down: float, across: float, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Map the window (top, left, bottom, right) to the unresized picture, as (x0, y0, x1, y1)."""
    top, left, bottom, right = window
    height, width = size
    return left * across, top * down, min(right * across, width), min(bottom * down, height)


def _array(image: Image.Image, channels: int) -> Pixels:
    return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)
