"""Compound scaling: depth α^φ, width β^φ and resolution γ^φ grow together.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from smidgen.families import Request, families, realise
from smidgen.families.family import Family
from smidgen.graph import Network, trunk_end
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling
from smidgen.spec import Shape, ShapeError, SmidgenError, UnknownNameError, closest

__all__ = ["BASE_RESOLUTION", "Baseline", "baseline", "family_named", "grow", "rounded_side", "scale"]

BASE_RESOLUTION = 224  # of every family's baseline
RESOLUTION_STEP = 8


@dataclass(frozen=True, slots=True)
class Baseline:
    """A family at φ = 0, and what all its networks along φ have in common.

    request  of the network at φ = 0; its dropped strides hold for all, so that cost never falls along φ
    least    side of the smallest pictures: smaller ones would leave no map; None where the side is fixed
    """

    family: Family
    request: Request
    least: int | None

    @property
    def suffix(self) -> str:
        """What tells its networks from those without the family's own options."""
        return "".join(f"_{key}{_short(value)}" for key, value in self.request.own.items())

    def side(self, factors: Multipliers) -> int:
        """Side of the pictures, in pixels."""
        if self.least is None:
            return self.request.resolution
        return max(self.least, rounded_side(self.request.resolution * factors.resolution))

    def network(self, factors: Multipliers, name: str) -> Network:
        """The scaled network; raises SmidgenError where its side is out of range."""
        # The resolution at φ = 0 chooses the baseline, so that it is the same one at every φ.
        row = self.family.scaled(factors.width, factors.depth, self.request.resolution)
        request = dataclasses.replace(self.request, resolution=self.side(factors))
        return realise(self.family, row, name, request, request.dropped_strides)


def baseline(
    family: str, resolution: int, *, fixed: bool = False, num_classes: int | None = None, **options: Any
) -> Baseline:
    """Baseline of `family` for pictures of `resolution` pixels at φ = 0, or at every φ where it is `fixed`.

    options  those of `smidgen.network`
    Raises   UnknownNameError, or SmidgenError where an option cannot be met.
    """
    chosen = family_named(family)
    if resolution < 1:
        raise SmidgenError(f"resolution={resolution}: at least 1 pixel is needed")
    side = resolution if fixed else rounded_side(resolution)
    row = chosen.scaled(1.0, 1.0, side)
    dropped = options.pop("dropped_strides", None)
    request = Request(
        num_classes=row.num_classes if num_classes is None else num_classes,
        c_in=options.pop("c_in", 3),
        resolution=side,
        dropout=options.pop("dropout", None),
        init=options.pop("init", None),
        own=options,
    )
    start = realise(chosen, row, family, request, dropped)
    request = dataclasses.replace(request, dropped_strides=start.dropped_strides)
    return Baseline(chosen, request, None if fixed else _least_side(start))


def _short(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.2f}" if number else str(value)


def rounded_side(side: float) -> int:
    """Nearest multiple of 8, at least one: the side of scaled pictures."""
    return max(RESOLUTION_STEP, round(side / RESOLUTION_STEP) * RESOLUTION_STEP)


def _least_side(start: Network) -> int:
    """Smallest side that leaves a map at the end of the trunk; width and depth do not matter to it."""
    for side in range(RESOLUTION_STEP, start.input.height, RESOLUTION_STEP):
        try:
            trunk_end(start.tree, Shape(start.input.channels, side, side))
        except ShapeError:
            continue
        return side
    return start.input.height


def scale(
    family: str,
    phi: float,
    *,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
    base_resolution: int = BASE_RESOLUTION,
    num_classes: int | None = None,
    unconstrained: bool = False,
    **options: Any,
) -> Network:
    """Baseline of `family` grown (or, for negative `phi`, shrunk) by the compound rule.

    phi              exponent; each unit about doubles the multiply-adds
    base_resolution  side of the pictures at phi = 0
    unconstrained    take alpha, beta, gamma whose alpha·beta²·gamma² is far from 2
    options          those of `smidgen.network`: c_in, dropout, dropped_strides, init, …
    Raises           SmidgenError where alpha, beta, gamma break the constraint, or phi is out of range.
    """
    if "rule" in options:
        raise SmidgenError("scale takes alpha, beta and gamma; smidgen.scaling.grow takes a rule")
    rule = Rule(alpha, beta, gamma)
    rule.check(unconstrained)
    return grow(family, rule, phi, base_resolution=base_resolution, num_classes=num_classes, **options)


def grow(
    family: str,
    rule: Scaling,
    phi: float,
    *,
    base_resolution: int = BASE_RESOLUTION,
    resolution: int | None = None,
    num_classes: int | None = None,
    **options: Any,
) -> Network:
    """Baseline of `family` scaled by any rule; the rest as `scale`.

    resolution  side of the pictures that stays, whatever the rule says; None: it moves
    """
    factors = rule.multipliers(phi)
    fixed = resolution is not None
    side = base_resolution if resolution is None else resolution
    start = baseline(family, side, fixed=fixed, num_classes=num_classes, **options)
    return start.network(factors, f"{family}_phi{phi:g}{_suffix(rule)}{start.suffix}")


def _suffix(rule: Scaling) -> str:
    """What tells a network of this rule from the compound rule's."""
    if rule == PAPER:
        return ""
    if isinstance(rule, Rule) and rule not in RULES.values():
        return f"_a{rule.alpha:g}_b{rule.beta:g}_g{rule.gamma:g}"
    return "".join(f"_{name}" for name, known in RULES.items() if known == rule)


def family_named(name: str) -> Family:
    """Family of that name; raises UnknownNameError."""
    if name not in families():
        raise UnknownNameError(
            f"no family '{name}'; {closest(name, families())}there are {', '.join(families())}"
        )
    return families()[name]
