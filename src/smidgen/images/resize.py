"""From a decoded picture to the size that the network sees."""

from __future__ import annotations

from typing import assert_never

import numpy as np
from PIL import Image

from smidgen.graph.network import Interpolation, Preprocess
from smidgen.images.decode import MAX_PIXELS
from smidgen.images.pixels import Pixels
from smidgen.spec import Shape, ShapeError

__all__ = ["resize"]

_FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

# Longest side that is resampled at once, the longest of a JPEG: the tables of the filter, and what stands
# between its two passes, grow with it. A longer one is first averaged by a whole factor.
_LONGEST = 65_535


def resize(picture: Pixels, shape: Shape, preprocess: Preprocess) -> Pixels:
    """Bring a picture to the shape in the way that `preprocess.aspect` names, antialiased.

    A picture that has the right size already is not resampled.

    picture  uint8[H, W, C]
    returns  uint8[shape.height, shape.width, C], a new array
    Raises   ShapeError when the picture's channels are not the shape's.
    """
    channels = picture.shape[2]
    if channels != shape.channels:
        raise ShapeError(f"a picture of {channels} channels met a network for {shape.channels}")
    match preprocess.aspect:
        case "crop":
            return _cropped(picture, shape, preprocess)
        case "squash":
            return _squashed(picture, (shape.height, shape.width), preprocess.interpolation)
        case "pad":
            return _padded(picture, shape, preprocess)
        case unknown:
            assert_never(unknown)


def _squashed(picture: Pixels, size: tuple[int, int], interpolation: Interpolation) -> Pixels:
    """Resize to this height and width."""
    image, (height, width) = _image(picture), size
    if max(image.size) > _LONGEST:
        image = image.reduce((-(-image.width // _LONGEST), -(-image.height // _LONGEST)))
    resized = image.resize((width, height), _FILTERS[interpolation])
    return _array(resized, picture.shape[2]).copy()


def _padded(picture: Pixels, shape: Shape, preprocess: Preprocess) -> Pixels:
    """Resize until it just fits into the shape, and fill the rest.

    Source   sizes and offsets are those of Pillow's ImageOps.pad; but no side becomes shorter than a pixel
    """
    result = np.empty((shape.height, shape.width, shape.channels), np.uint8)
    result[:] = preprocess.fill
    height, width = _within(picture.shape[0], picture.shape[1], shape)
    top, left = round((shape.height - height) / 2), round((shape.width - width) / 2)
    window = (top, left, top + height, left + width)
    _cut(result, window)[:] = _squashed(picture, (height, width), preprocess.interpolation)
    return result


def _within(height: int, width: int, shape: Shape) -> tuple[int, int]:
    """The largest size (height, width) of the picture's own ratio that fits into the shape."""
    if width * shape.height > shape.width * height:  # the width decides, the height follows
        return max(1, round(height / width * shape.width)), shape.width
    return shape.height, max(1, round(width / height * shape.height))


def _cropped(picture: Pixels, shape: Shape, preprocess: Preprocess) -> Pixels:
    """Resize the shorter side to `preprocess.resize`, then cut out the middle.

    Where the crop would reach past the resized picture, it is resized further, until it just covers the crop.

    Source   the sizes and offsets are torchvision's Resize and CenterCrop, which published weights assume
    """
    height, width, channels = picture.shape
    new_height, new_width = _covering(height, width, preprocess.resize, shape)
    top, left = round((new_height - shape.height) / 2), round((new_width - shape.width) / 2)
    window = (top, left, top + shape.height, left + shape.width)
    if (new_height, new_width) == (height, width):
        return _cut(picture, window).copy()
    image, resample = _image(picture), _FILTERS[preprocess.interpolation]
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


def _image(picture: Pixels) -> Image.Image:
    return Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def _array(image: Image.Image, channels: int) -> Pixels:
    return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)
