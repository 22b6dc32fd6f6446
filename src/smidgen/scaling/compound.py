"""Compound scaling: depth α^φ, width β^φ and resolution γ^φ grow together.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from smidgen.families import Request, families, realise
from smidgen.families.family import Family
from smidgen.graph import Network, layers, trunk_end
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling
from smidgen.spec import Shape, ShapeError, SmidgenError, UnknownNameError, closest

__all__ = [
    "BASE_RESOLUTION",
    "Baseline",
    "baseline",
    "family_named",
    "grow",
    "rounded_side",
    "scale",
    "stride_choices",
]

BASE_RESOLUTION = 224  # of every family's baseline
RESOLUTION_STEP = 8


@dataclass(frozen=True, slots=True)
class Baseline:
    """A family at φ = 0, and what all its networks along φ have in common.

    request  of the network at φ = 0; its dropped strides hold for all, so that cost never falls along φ
    least    side of the smallest pictures: smaller ones would leave no map; None where the side is fixed
    usual    strides that are dropped unless somebody asks for another number
    """

    family: Family
    request: Request
    least: int | None
    usual: int

    @property
    def suffix(self) -> str:
        """What tells its networks from those without the family's own options, and of the usual strides."""
        own = "".join(f"_{key}{_short(value)}" for key, value in self.request.own.items())
        dropped = self.request.dropped_strides
        return own if dropped == self.usual else f"{own}_dropped{dropped}"

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
        return realise(self.family, row, name, request, request.dropped_strides, known=True)

    def published(self) -> Baseline | None:
        """The same with every stride that was published; None where it has them, or pictures are too small.

        They are large enough where the last map keeps a pixel that no padding had to make up.
        """
        if not self.request.dropped_strides:
            return None
        try:
            found = self.dropping(0)
        except ShapeError:
            return None
        start = found._start()
        whole = max(layer.stride for layer in layers(start.tree, start.input))
        return found if whole <= start.input.height else None

    @property
    def coarse(self) -> bool:
        """Whether the last map is a single pixel high or wide."""
        start = self._start()
        return min(trunk_end(start.tree, start.input)[1:3]) < 2

    def dropping(self, dropped: int) -> Baseline:
        """The same with so many dropped strides. Raises ShapeError where that leaves no map."""
        found = dataclasses.replace(self, request=dataclasses.replace(self.request, dropped_strides=dropped))
        start = found._start()
        try:
            trunk_end(start.tree, start.input)
        except ShapeError:
            raise ShapeError(
                f"pictures of {start.input.height} pixels are too small for {start.family} with "
                f"dropped_strides={dropped}; by default {self.usual} are dropped"
            ) from None
        return found if self.least is None else dataclasses.replace(found, least=_least_side(start))

    def _start(self) -> Network:
        row = self.family.scaled(1.0, 1.0, self.request.resolution)
        return realise(self.family, row, self.family.name, self.request, self.request.dropped_strides)


def baseline(
    family: str,
    *,
    resolution: int | None = None,
    base_resolution: int = BASE_RESOLUTION,
    num_classes: int | None = None,
    dropped_strides: int | None = None,
    **options: Any,
) -> Baseline:
    """What the networks of `family` along φ start from.

    resolution       side of the pictures that stays, whatever a rule says; None: it moves
    base_resolution  where it moves, the side at φ = 0
    dropped_strides  default: as few as keep the last map of the baseline at 4 x 4 or more
    options          the others of `smidgen.network`: c_in, dropout, init, and the family's own
    Raises           UnknownNameError, or SmidgenError where an option cannot be met.
    """
    chosen = family_named(family)
    asked = base_resolution if resolution is None else resolution
    if not (isinstance(asked, int | float) and 1 <= asked < math.inf):
        raise SmidgenError(f"resolution={asked!r}: at least 1 pixel is needed")
    side = rounded_side(asked) if resolution is None else asked
    row = chosen.scaled(1.0, 1.0, side)
    request = Request(
        num_classes=row.num_classes if num_classes is None else num_classes,
        c_in=options.pop("c_in", 3),
        resolution=side,
        dropout=options.pop("dropout", None),
        init=options.pop("init", None),
        own=options,
    )
    start = realise(chosen, row, family, request)
    least = _least_side(start) if resolution is None else None
    request = dataclasses.replace(request, dropped_strides=start.dropped_strides)
    found = Baseline(chosen, request, least, start.dropped_strides)
    return found if dropped_strides is None else found.dropping(dropped_strides)


def stride_choices(family: str, **options: Any) -> tuple[int, ...]:
    """Numbers of dropped strides worth trying: the usual one, and 0 where that leaves a pixel of every map.

    options  those of `baseline`
    """
    start = baseline(family, **options)
    return (start.usual, 0) if start.published() else (start.usual,)


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
    unconstrained: bool = False,
    **options: Any,
) -> Network:
    """Baseline of `family` grown (or, for negative `phi`, shrunk) by the compound rule.

    phi            exponent; each unit about doubles the multiply-adds
    unconstrained  take alpha, beta, gamma whose alpha·beta²·gamma² is far from 2
    options        those of `baseline`: base_resolution, num_classes, c_in, dropped_strides, …
    Raises         SmidgenError where alpha, beta, gamma break the constraint, or phi is out of range.
    """
    if "rule" in options:
        raise SmidgenError("scale takes alpha, beta and gamma; smidgen.scaling.grow takes a rule")
    rule = Rule(alpha, beta, gamma)
    rule.check(unconstrained)
    return grow(family, rule, phi, **options)


def grow(family: str, rule: Scaling, phi: float, **options: Any) -> Network:
    """Baseline of `family` scaled by any rule; options are those of `baseline`."""
    factors = rule.multipliers(phi)
    start = baseline(family, **options)
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
