"""Compound scaling: depth α^φ, width β^φ and resolution γ^φ grow together.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from smidgen.families import Request, families, realise
from smidgen.families.family import Family
from smidgen.graph import Network
from smidgen.spec import SmidgenError, UnknownNameError, closest

__all__ = [
    "BASE_RESOLUTION",
    "DEPTH",
    "PAPER",
    "RESOLUTION",
    "WIDTH",
    "Rule",
    "family_named",
    "multipliers",
    "scale",
]

BASE_RESOLUTION = 224  # of every family's baseline
RESOLUTION_STEP = 8
DOUBLING_TOLERANCE = 0.1  # the paper's own α·β²·γ² is 1.92
LARGEST_FACTOR = 100.0  # EfficientNet-L2, the largest published, is 5.3 times as deep


@dataclass(frozen=True, slots=True)
class Rule:
    """Growth of depth (alpha), width (beta) and resolution (gamma) for each unit of φ."""

    alpha: float
    beta: float
    gamma: float

    @property
    def doubling(self) -> float:
        """Growth of the multiply-adds for each unit of φ: α·β²·γ²."""
        return self.alpha * self.beta * self.beta * self.gamma * self.gamma

    def check(self) -> None:
        """Raise SmidgenError unless α·β²·γ² ≈ 2 and each is at least 1."""
        if not all(factor >= 1 for factor in (self.alpha, self.beta, self.gamma)):  # so NaN is refused
            raise SmidgenError(
                f"alpha={self.alpha}, beta={self.beta}, gamma={self.gamma}: each must be at least 1"
            )
        if abs(self.doubling - 2) > DOUBLING_TOLERANCE:
            raise SmidgenError(
                f"alpha·beta²·gamma² is {self.doubling:.3f}; compound scaling needs 2 ± {DOUBLING_TOLERANCE}"
            )


PAPER = Rule(alpha=1.2, beta=1.1, gamma=1.15)

# One axis alone, at the same growth of the multiply-adds (Tan & Le 2019, Figures 2 and 3).
WIDTH = Rule(alpha=1.0, beta=math.sqrt(2), gamma=1.0)
DEPTH = Rule(alpha=2.0, beta=1.0, gamma=1.0)
RESOLUTION = Rule(alpha=1.0, beta=1.0, gamma=math.sqrt(2))


def scale(
    family: str,
    phi: float,
    *,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
    base_resolution: int = BASE_RESOLUTION,
    num_classes: int | None = None,
    **options: Any,
) -> Network:
    """Baseline of `family` grown (or, for negative `phi`, shrunk) by the compound rule.

    phi              exponent; each unit about doubles the multiply-adds
    base_resolution  side of the pictures at phi = 0
    options          those of `smidgen.network`: c_in, dropout, dropped_strides, init, …
    Raises           SmidgenError where alpha, beta, gamma break the constraint, or phi is out of range.
    """
    rule = Rule(alpha, beta, gamma)
    rule.check()
    if base_resolution < 1:
        raise SmidgenError(f"resolution={base_resolution}: at least 1 pixel is needed")
    depth, width, zoom = multipliers(rule, phi)
    resolution = max(RESOLUTION_STEP, round(base_resolution * zoom / RESOLUTION_STEP) * RESOLUTION_STEP)
    chosen = family_named(family)
    row = chosen.scaled(width, depth, resolution)
    dropped = options.pop("dropped_strides", None)
    request = Request(
        num_classes=row.num_classes if num_classes is None else num_classes,
        c_in=options.pop("c_in", 3),
        resolution=resolution,
        dropout=options.pop("dropout", None),
        init=options.pop("init", None),
        own=options,
    )
    return realise(chosen, row, f"{family}_phi{phi:g}", request, dropped)


def multipliers(rule: Rule, phi: float) -> tuple[float, float, float]:
    """Factors of depth, width and resolution: d = α^φ, w = β^φ, r = γ^φ.

    Raises   SmidgenError where φ is not finite, or one of them passes LARGEST_FACTOR.
    """
    bases = (rule.alpha, rule.beta, rule.gamma)
    highest = math.log(LARGEST_FACTOR)  # in logarithms nothing overflows
    if not math.isfinite(phi) or any(phi * math.log(base) > highest for base in bases):
        raise SmidgenError(f"phi={phi:g} is out of range: no axis may grow more than {LARGEST_FACTOR:g}-fold")
    return rule.alpha**phi, rule.beta**phi, rule.gamma**phi


def family_named(name: str) -> Family:
    """Family of that name; raises UnknownNameError."""
    if name not in families():
        raise UnknownNameError(
            f"no family '{name}'; {closest(name, families())}there are {', '.join(families())}"
        )
    return families()[name]
