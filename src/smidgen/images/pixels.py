"""The type of a decoded picture."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Pixels"]

# uint8[H, W, C] for one picture, uint8[N, H, W, C] for a batch; C is 1 (grey) or 3 (red, green, blue).
Pixels: TypeAlias = npt.NDArray[np.uint8]
