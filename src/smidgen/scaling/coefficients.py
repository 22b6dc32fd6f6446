"""Where a family's published table leaves the rule that it comes from.

The rule has one φ for all three axes; the φ that each published coefficient implies on its own axis,
log(coefficient) / log(base), shows how far the table was rounded by hand. The paper does not give its φ.

Source   Tan & Le 2019, arXiv:1905.11946; the coefficients are those of the family's file
"""

from __future__ import annotations

import math
from typing import NamedTuple

from smidgen import families
from smidgen.scaling.compound import BASE_RESOLUTION, family_named
from smidgen.scaling.rules import PAPER, Multipliers
from smidgen.spec import SmidgenError

__all__ = ["Comparison", "comparisons"]


class Comparison(NamedTuple):
    """One published network beside the rule.

    published  multipliers of the baseline
    implied    φ of depth, width and resolution, each alone
    octaves    log2 of its multiply-adds over the baseline's
    ruled      multipliers of the rule at φ = octaves
    """

    name: str
    published: Multipliers
    side: int
    implied: Multipliers
    octaves: float
    ruled: Multipliers


def comparisons(family: str) -> tuple[Comparison, ...]:
    """The variants that the family's authors made by compound scaling, beside the paper's rule.

    Raises   UnknownNameError; SmidgenError where there are none.
    """
    names = family_named(family).compound
    if not names:
        others = ", ".join(other.name for other in families.families().values() if other.compound)
        raise SmidgenError(f"no table of {family} was published; there is one of {others}")
    return tuple(_compared(name, names[0]) for name in names)


def _compared(name: str, first: str) -> Comparison:
    row = families.family_of(name).variants[name]
    published = Multipliers(row.depth, row.width, row.resolution / BASE_RESOLUTION)
    bases = (PAPER.alpha, PAPER.beta, PAPER.gamma)
    implied = Multipliers(
        *(math.log(factor) / math.log(base) for factor, base in zip(published, bases, strict=True))
    )
    macs, least = (families.network(each).cost().macs for each in (name, first))
    octaves = math.log2(macs / least)
    return Comparison(name, published, row.resolution, implied, octaves, PAPER.multipliers(octaves))
