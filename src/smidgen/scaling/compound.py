"""Compound scaling: depth α^φ, width β^φ and resolution γ^φ grow together.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

from typing import Any

from smidgen.families import Request, families, realise
from smidgen.families.family import Family
from smidgen.graph import Network
from smidgen.scaling.rules import PAPER, Rule
from smidgen.spec import SmidgenError, UnknownNameError, closest

__all__ = ["BASE_RESOLUTION", "family_named", "scale"]

BASE_RESOLUTION = 224  # of every family's baseline
RESOLUTION_STEP = 8


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
    depth, width, zoom = rule.multipliers(phi)
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


def family_named(name: str) -> Family:
    """Family of that name; raises UnknownNameError."""
    if name not in families():
        raise UnknownNameError(
            f"no family '{name}'; {closest(name, families())}there are {', '.join(families())}"
        )
    return families()[name]
