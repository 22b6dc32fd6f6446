"""How pictures that are not square become squares, where nobody has said it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from smidgen.graph import Aspect

__all__ = ["chosen_aspect", "cut_away", "news", "own_side"]

# Share of the median picture that a crop may cut away. Of 5 : 4 it is 20 %, of a camera's 4 : 3 already 25 %:
# a quarter of what the picture shows, where squashing would stretch it by no more than training does anyway.
MOST_CUT = 0.2

# So many times wider than the slimmest may the widest picture be (of the middle 80 %) where all are squashed.
# Between the extremes to which random crops stretch pictures, 3 : 4 and 4 : 3, lie 16/9 (Szegedy et al. 2014,
# arXiv:1409.4842, section 6), and published networks learned to bear that; the rest is rounding of sizes.
ALIKE = 1.8


def chosen_aspect(sizes: Sequence[tuple[int, int]]) -> Aspect:
    """Crop where little is lost; else squash where pictures are stretched alike; else pad.

    A squashed picture fills its square, so that every pixel is of use. But where one picture is wide and the
    next is high, the same thing would be stretched one way here and the other way there: pads keep its shape.

    sizes   (height, width) of the training pictures
    """
    if cut_away(sizes) <= MOST_CUT:
        return "crop"
    low, high = np.quantile([width / height for height, width in sizes], (0.1, 0.9))
    return "squash" if high <= ALIKE * low else "pad"


def cut_away(sizes: Sequence[tuple[int, int]]) -> float:
    """Share of its area that the median picture would lose in a crop to a square."""
    return statistics.median(1 - min(size) / max(size) for size in sizes)


def own_side(height: int, width: int, aspect: Aspect) -> float:
    """Side of the square in which a picture keeps its detail."""
    whole = {"crop": min(height, width), "squash": math.sqrt(height * width), "pad": max(height, width)}
    return whole[aspect]


def news(aspect: Aspect, cut: float) -> str | None:
    """The line that tells what was chosen; None of a crop, which is what people expect."""
    if aspect == "crop":
        return None
    way = "squashed to squares" if aspect == "squash" else "padded to squares, as their shapes differ"
    return f"pictures are {way}: a crop would cut away {100 * cut:.0f} % of them; --aspect crop crops"
