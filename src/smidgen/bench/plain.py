"""A picture as the users of other runtimes read it: Pillow, numpy and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["read"]


def read(picture: str, shape: list[int], preprocess: dict[str, Any]) -> NDArray[np.float32]:
    """Decode, resize the shorter side, cut out the middle, normalise: float32[1, C, H, W]."""
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    image = Image.open(picture).convert("L" if channels == 1 else "RGB")
    factor = max(preprocess["resize"] / min(image.size), height / image.height, width / image.width)
    large = (max(width, round(image.width * factor)), max(height, round(image.height * factor)))
    image = image.resize(large, getattr(Image.Resampling, preprocess["interpolation"].upper()))
    left, top = (large[0] - width) // 2, (large[1] - height) // 2
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float32) / 255
    mean, std = (np.array(preprocess[key], np.float32) for key in ("mean", "std"))
    numbers = (pixels.reshape(height, width, channels) - mean) / std
    return np.ascontiguousarray(numbers.transpose(2, 0, 1)[None], np.float32)
