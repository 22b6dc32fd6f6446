"""TinyNet's shrinking formula, as far as its five published networks show it.

Source   Han et al. 2020, arXiv:2010.14819: for a budget of c times EfficientNet-B0's multiply-adds the
         resolution r and the depth d come from a regression over good networks, and the width follows as
         w = sqrt(c / (r²·d)). The regression's coefficients were not available to us, so r(c) and d(c)
         go through the five networks that were released (timm's rows), and are powers of c between them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["ROWS", "TinyNetRow", "shrunk"]

_BASE_SIDE = 224  # of EfficientNet-B0, which all five are multiples of


class TinyNetRow(NamedTuple):
    """One released TinyNet: multipliers of EfficientNet-B0 and the side of its pictures."""

    name: str
    width: float
    depth: float
    side: int

    @property
    def zoom(self) -> float:
        """Multiplier of the resolution."""
        return self.side / _BASE_SIDE

    @property
    def octaves(self) -> float:
        """φ of this network: log2 of the c that the formula gives it, w²·r²·d."""
        return math.log2(self.width**2 * self.zoom**2 * self.depth)


# huggingface/pytorch-image-models, timm/models/efficientnet.py, tinynet_a to tinynet_e, smallest first.
#                 width depth  side
ROWS = (
    TinyNetRow("E", 0.51, 0.600, 106),
    TinyNetRow("D", 0.54, 0.695, 152),
    TinyNetRow("C", 0.54, 0.850, 184),
    TinyNetRow("B", 0.75, 1.100, 188),
    TinyNetRow("A", 1.00, 1.200, 192),
)


def shrunk(phi: float) -> tuple[float, float, float]:
    """Multipliers of depth, width and resolution for c = 2^φ.

    Beyond the smallest and the largest row, depth and resolution stay as they are there and the width
    alone moves: at φ = 0 this is a little wider than TinyNet-A, not EfficientNet-B0.
    """
    depth = 2 ** _between(phi, [math.log2(row.depth) for row in ROWS])
    zoom = 2 ** _between(phi, [math.log2(row.zoom) for row in ROWS])
    return depth, math.sqrt(2**phi / (zoom**2 * depth)), zoom


def _between(phi: float, values: list[float]) -> float:
    """Value at φ on the line through the rows, level beyond its ends."""
    marks = [row.octaves for row in ROWS]
    if phi <= marks[0]:
        return values[0]
    for left, right, low, high in zip(marks, marks[1:], values, values[1:], strict=False):
        if phi <= right:
            return low + (high - low) * (phi - left) / (right - left)
    return values[-1]
