"""The largest network of a family that obeys a budget.

The pictures fix the resolution here, so depth and width share the growth: the compound rule with
γ = 1. Rounding makes parameters, MACs and file a staircase in φ that never falls, so bisection finds
its last step. Peak memory may dip where two widths part and a residual ends: the answer obeys its
limit too, and the next step breaks it, but a larger network beyond the dip may go unseen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from smidgen import modelfile
from smidgen.families import Request, realise
from smidgen.families.family import InitChoice
from smidgen.graph import Network
from smidgen.scaling.compound import BASE_RESOLUTION, family_named
from smidgen.scaling.rules import PAPER, Rule
from smidgen.spec import Budget, BudgetError

__all__ = ["PHI_RANGE", "PHI_STEP", "Solution", "costs", "solve"]

PHI_RANGE = (-32.0, 10.0)
PHI_STEP = 1 / 64

# What training adds to the file: provenance, metrics, versions.
PROVENANCE_RESERVE = 2_000


@dataclass(frozen=True, slots=True)
class Solution:
    """Answer of `solve`.

    phi      position on the rule
    binding  unit that the next larger network would break; None at the end of the range
    slack    share of each limit that is left, by unit
    """

    network: Network
    phi: float
    binding: str | None
    slack: Mapping[str, float]


def costs(network: Network) -> dict[str, int]:
    """Costs of a network in the units of a budget."""
    cost = network.cost()
    return {
        "params": cost.params,
        "macs": cost.macs,
        "weight_bytes": modelfile.weight_bytes(network) + PROVENANCE_RESERVE,
        "peak_bytes": cost.peak_bytes,
    }


def solve(
    family: str,
    budget: Budget,
    *,
    num_classes: int = 1000,
    c_in: int = 3,
    resolution: int = BASE_RESOLUTION,
    rule: Rule = PAPER,
    depth: float | None = None,
    init: InitChoice | None = None,
    classes: tuple[str, ...] = (),
) -> Solution:
    """Largest φ whose network obeys every limit at once, at a fixed resolution.

    depth    multiplier of the baseline's depth that stays, while the rule moves the width alone; default:
             both grow by the rule
    classes  names of the classes where they are known: the model file will hold them, so they cost bytes
    Raises   BudgetError that names the smallest network's cost where nothing fits.
    """
    chosen = family_named(family)

    def at(step: int) -> Network:
        ruled, width, _ = rule.multipliers(step * PHI_STEP)
        deep = ruled if depth is None else depth
        row = chosen.scaled(width, deep, resolution)
        request = Request(num_classes, c_in, resolution, init=init)
        network = realise(chosen, row, f"{family}_w{width:.2f}_d{deep:.2f}", request)
        return dataclasses.replace(network, classes=classes)

    low, high = (round(phi / PHI_STEP) for phi in PHI_RANGE)
    smallest = costs(at(low))
    excesses = budget.excesses(smallest)
    if excesses:
        shown = ", ".join(f"{unit}={smallest[unit]:,}" for unit in budget.limits())
        raise BudgetError(
            f"nothing in {family} fits {budget} at {resolution} pixels; its smallest has {shown}"
        )
    binding = budget.excesses(costs(at(high)))
    if not binding:
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        broken = budget.excesses(costs(at(middle)))
        if broken:
            high, binding = middle, broken
        else:
            low = middle
    network = at(low)
    used = costs(network)
    slack = {unit: 1 - used[unit] / limit for unit, limit in budget.limits().items()}
    return Solution(network, low * PHI_STEP, binding[0].unit if binding else None, slack)
