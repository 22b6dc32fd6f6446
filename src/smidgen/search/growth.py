"""Networks that grow from one small base by different rules: what a search over α, β, γ compares.

A rule of `smidgen.scaling` starts at the family's published baseline. Budgets of small pictures lie far
below that, where single axes have nothing left to shrink; so here, as in the paper's Figures 3 and 8,
every rule grows upwards from the same small network.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.families import Request, realise
from smidgen.graph import Network
from smidgen.run.propose import DEPTHS, LEAST_USE
from smidgen.scaling import PAPER, RULES, Rule, Scaling, candidates, rule_named, solve
from smidgen.scaling.compound import family_named, stride_choices
from smidgen.scaling.stairs import last
from smidgen.spec import Budget, BudgetError, SmidgenError

__all__ = ["BASE", "Base", "base_within", "groups", "grown", "largest", "rule_label", "rule_of"]

BASE = "base"  # the rule of φ = 0: every other rule's network there

# Side of a grown network's pictures: even, and finer than `scale`'s multiples of 8, which at 16 pixels would
# double the multiply-adds in one step and leave the resolution nothing to be compared by.
RESOLUTION_STEP = 2
PHI_STEPS = 64  # for each unit of φ
LARGEST_PHI = 10
LIFT_STEPS = 10 * PHI_STEPS  # of 2^(1/64): no axis is lifted more than 1,024-fold


@dataclass(frozen=True, slots=True)
class Base:
    """Where all rules start.

    depth, width  multipliers of the family's baseline
    resolution    side of the pictures in pixels
    """

    family: str
    depth: float
    width: float
    resolution: int
    dropped_strides: int
    num_classes: int
    c_in: int

    def to_json(self) -> dict[str, Any]:
        """The base, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Base:
        """Read what `to_json` wrote."""
        return cls(**document)


def base_within(family: str, macs: int, *, resolution: int, num_classes: int, c_in: int) -> Base:
    """A network that fills the budget at this resolution: the compound rule's, where rounding lets it.

    Small networks grow in large steps, so the compound rule's last step may lie far below the budget; then
    it is another of the shapes that `fit` would try.
    Raises   BudgetError where nothing of the family is that small.
    """
    usual = stride_choices(family, resolution=resolution, c_in=c_in)[0]

    def at(depth: float | None) -> Base:
        solution = solve(
            family,
            Budget(macs=macs),
            num_classes=num_classes,
            c_in=c_in,
            resolution=resolution,
            dropped_strides=usual,
            depth=depth,
        )
        ruled, width, _ = PAPER.multipliers(solution.phi)
        dropped = solution.network.dropped_strides
        found = Base(family, depth or ruled, width, resolution, dropped, num_classes, c_in)
        return _lifted(_lifted(found, "depth"), "width")

    shapes = [at(None)]
    for depth in DEPTHS:
        with contextlib.suppress(BudgetError):  # too deep for the budget at any width
            shapes.append(at(depth))
    used = [grown(base, PAPER, 0).cost().macs for base in shapes]
    return shapes[0] if used[0] >= LEAST_USE * max(used) else shapes[used.index(max(used))]


def grown(base: Base, rule: Scaling, phi: float) -> Network:
    """The base grown by a rule to φ; at φ = 0 it is the base.

    Raises   SmidgenError where φ is out of range.
    """
    depth, width, zoom = rule.multipliers(phi)
    side = base.resolution * zoom
    even = base.resolution + RESOLUTION_STEP * round((side - base.resolution) / RESOLUTION_STEP)
    family = family_named(base.family)
    row = family.scaled(base.width * width, base.depth * depth, even)
    request = Request(base.num_classes, base.c_in, even)
    return realise(family, row, f"{base.family}_phi{phi:g}", request, base.dropped_strides)


@functools.lru_cache(maxsize=4096)
def largest(base: Base, label: str, macs: int) -> tuple[float, Network]:
    """Largest φ from 0 on whose network has at most so many multiply-adds by a rule, and that network."""
    rule = rule_of(label)

    def fits(step: int) -> bool:
        try:
            return grown(base, rule, step / PHI_STEPS).cost().macs <= macs
        except SmidgenError:  # an axis at its end
            return False

    phi = last(0, LARGEST_PHI * PHI_STEPS + 1, fits) / PHI_STEPS
    return phi, grown(base, rule, phi)


def groups(base: Base, macs: int) -> tuple[tuple[Rule, ...], ...]:
    """The lattice of candidates, those together whose largest network is the same; one of each is trained.

    The first of a group stands for it: the paper's own rule where it is among them, else the one nearest to
    their mean.
    """
    found: dict[object, list[Rule]] = {}
    for rule in candidates():
        network = largest(base, rule_label(rule), macs)[1]
        found.setdefault((network.tree, network.input), []).append(rule)
    return tuple(_led(rules) for rules in found.values())


def rule_label(rule: Rule) -> str:
    """Name of a rule of the lattice: 1.2/1.1/1.15; the paper's own is `compound`."""
    return "compound" if rule == PAPER else f"{rule.alpha:g}/{rule.beta:g}/{rule.gamma:g}"


def rule_of(label: str) -> Scaling:
    """The rule that a label names. Raises UnknownNameError."""
    if label in RULES or "/" not in label:
        return rule_named("compound" if label == BASE else label)
    return Rule(*map(float, label.split("/")))


def _led(rules: list[Rule]) -> tuple[Rule, ...]:
    """The group with the rule that stands for it in front."""
    means = [sum(getattr(rule, axis) for rule in rules) / len(rules) for axis in ("alpha", "beta", "gamma")]

    def away(rule: Rule) -> tuple[bool, float]:
        pairs = zip((rule.alpha, rule.beta, rule.gamma), means, strict=True)
        return rule != PAPER, sum((value - mean) ** 2 for value, mean in pairs)

    return tuple(sorted(rules, key=away))


def _lifted(base: Base, axis: str) -> Base:
    """The base with the largest multiplier of one axis that leaves the network as it is."""
    tree = grown(base, PAPER, 0).tree

    def at(step: int) -> Base:
        return dataclasses.replace(base, **{axis: getattr(base, axis) * 2 ** (step / PHI_STEPS)})

    return at(last(0, LIFT_STEPS + 1, lambda step: grown(at(step), PAPER, 0).tree == tree))
