"""Where EfficientNet's published table leaves the rule that it comes from.

The rule has one φ for all three axes; the φ that each published coefficient implies on its own axis,
log(coefficient) / log(base), shows how far the table was rounded by hand. The paper does not give its φ.

Source   Tan & Le 2019, arXiv:1905.11946; coefficients of tensorflow/tpu, efficientnet_builder.py
"""

from __future__ import annotations

import math
from typing import NamedTuple

from smidgen import families
from smidgen.scaling.compound import BASE_RESOLUTION, family_named
from smidgen.scaling.rules import PAPER, Multipliers

__all__ = ["PUBLISHED", "Comparison", "comparisons"]

PUBLISHED = (*(f"efficientnet_b{number}" for number in range(8)), "efficientnet_l2")


class Comparison(NamedTuple):
    """One published network beside the rule.

    published  multipliers of EfficientNet-B0
    implied    φ of depth, width and resolution, each alone
    octaves    log2 of its multiply-adds over B0's
    ruled      multipliers of the rule at φ = octaves
    """

    name: str
    published: Multipliers
    side: int
    implied: Multipliers
    octaves: float
    ruled: Multipliers


def comparisons() -> tuple[Comparison, ...]:
    """B0 to B7 and L2 beside the paper's rule."""
    return tuple(map(_compared, PUBLISHED))


def _compared(name: str) -> Comparison:
    row = family_named("efficientnet").variants[name]
    published = Multipliers(row.depth, row.width, row.resolution / BASE_RESOLUTION)
    bases = (PAPER.alpha, PAPER.beta, PAPER.gamma)
    implied = Multipliers(
        *(math.log(factor) / math.log(base) for factor, base in zip(published, bases, strict=True))
    )
    macs, first = (families.network(each).cost().macs for each in (name, PUBLISHED[0]))
    octaves = math.log2(macs / first)
    return Comparison(name, published, row.resolution, implied, octaves, PAPER.multipliers(octaves))
