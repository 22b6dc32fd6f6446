"""A picture as the users of other runtimes read it: Pillow, numpy and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

__all__ = ["read"]


def read(picture: str, shape: list[int], preprocess: dict[str, Any]) -> NDArray[np.float32]:
    """Decode, bring to the size of the shape, normalise: float32[1, C, H, W]."""
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    image = Image.open(picture).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(_sized(image, (width, height), preprocess), np.float32) / 255
    mean, std = (np.array(preprocess[key], np.float32) for key in ("mean", "std"))
    numbers = (pixels.reshape(height, width, channels) - mean) / std
    return np.ascontiguousarray(numbers.transpose(2, 0, 1)[None], np.float32)


def _sized(image: PIL.Image.Image, size: tuple[int, int], preprocess: dict[str, Any]) -> PIL.Image.Image:
    """Squash, pad or crop to this width and height."""
    from PIL import Image, ImageOps

    resample = getattr(Image.Resampling, preprocess["interpolation"].upper())
    if preprocess["aspect"] == "squash":
        return image.resize(size, resample)
    if preprocess["aspect"] == "pad":
        fill = tuple(round(255 * part) for part in preprocess["mean"])
        return ImageOps.pad(image, size, resample, fill if len(fill) > 1 else fill[0])
    (width, height), shorter = size, preprocess["resize"]
    factor = max(shorter / min(image.size), height / image.height, width / image.width)
    large = (max(width, round(image.width * factor)), max(height, round(image.height * factor)))
    left, top = (large[0] - width) // 2, (large[1] - height) // 2
    return image.resize(large, resample).crop((left, top, left + width, top + height))
