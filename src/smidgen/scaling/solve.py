"""The largest network of a family that obeys a budget.

Rounding makes cost a staircase in φ. Parameters, multiply-adds and file never fall along it, so bisection
finds their last step. Peak memory and latency may dip: bisection then finds a point that is broken by more
than any dip, above which nothing fits, and the search down from there looks at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.families.family import InitChoice
from smidgen.graph import Network
from smidgen.scaling.compound import BASE_RESOLUTION, baseline
from smidgen.scaling.rules import PAPER, Scaling, rule_named
from smidgen.scaling.stairs import PHI_STEP, Latency, Stairs, Step, file_bytes, last
from smidgen.spec import Budget, BudgetError, SmidgenError, quoted

__all__ = ["Solution", "costs", "solve"]

# A predicted time may dip where another kernel takes over; twice the limit is never made good.
LATENCY_DIP = 0.5

# Units from the quickest to count to the slowest.
ORDER = ("params", "macs", "peak_bytes", "weight_bytes", "int8_bytes", "latency_ms")


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
    """Costs of a network in the units of a budget that are counted; latency, which is predicted, is not."""
    cost = network.cost()
    return {
        "params": cost.params,
        "macs": cost.macs,
        "weight_bytes": file_bytes(network),
        "int8_bytes": file_bytes(network, "int8_bytes"),
        "peak_bytes": cost.peak_bytes,
    }


def solve(
    family: str,
    budget: Budget,
    *,
    num_classes: int = 1000,
    c_in: int = 3,
    resolution: int | None = None,
    base_resolution: int = BASE_RESOLUTION,
    rule: Scaling | str = PAPER,
    depth: float | None = None,
    init: InitChoice | None = None,
    classes: tuple[str, ...] = (),
    latency: Latency | None = None,
    **own: Any,
) -> Solution:
    """Largest φ whose network obeys every limit at once, to 1/1024.

    resolution       side of the pictures, which stays; None: it moves with the rule
    base_resolution  where it moves, the side at φ = 0
    rule             one of `RULES`, or its name
    depth            multiplier of the baseline's depth that stays, while the rule moves the rest
    classes          names of the classes where they are known: the model file will hold them, so they cost
                     bytes
    latency          the milliseconds that `budget.latency_ms` limits; a network at twice the limit must not
                     have a larger sister that meets it. Default: `Device.bound_ms` of this machine, which is
                     measured at first need, for some minutes
    own              options of single families, such as expand=2 for the shift networks
    Raises           BudgetError that names the smallest network and its cost where nothing fits.
    """
    if budget.latency_ms is not None and latency is None:
        from smidgen.scaling.measure import this_machine  # brings the engine, which other units do not need

        latency = this_machine().bound_ms
    if isinstance(rule, str):
        rule = rule_named(rule)
    rule.check(unconstrained=True)
    fixed = resolution is not None
    start = baseline(
        family,
        base_resolution if resolution is None else resolution,
        fixed=fixed,
        num_classes=num_classes,
        c_in=c_in,
        init=init,
        **own,
    )
    stairs = Stairs(start, rule, depth, classes, latency)
    if fixed and stairs.factors(stairs.low)[:2] == stairs.factors(stairs.high)[:2]:
        raise SmidgenError(
            f"nothing is left for this rule to move: the pictures are fixed at {resolution} pixels"
        )
    number = _largest(stairs, budget)
    if number < stairs.low:
        raise BudgetError(_impossible(family, budget, stairs, fixed))
    best = stairs.step(number)
    slack = {unit: 1 - best.used(unit) / limit for unit, limit in budget.limits().items()}
    next_excesses = stairs.step(number + 1).excesses(budget) if number < stairs.high else []
    binding = next_excesses[0].unit if next_excesses else None
    return Solution(stairs.network(number), number * PHI_STEP, binding, slack)


def _largest(stairs: Stairs, budget: Budget) -> int:
    """Number of the largest network that obeys the budget; below `stairs.low` where none does."""
    top = last(stairs.low - 1, stairs.high + 1, lambda point: not _hopeless(stairs, point, budget))
    if top < stairs.low:
        return top
    return stairs.highest(stairs.low, top, lambda step: _obeys(step, budget))


def _obeys(step: Step, budget: Budget) -> bool:
    limits = budget.limits()
    return not any(step.exceeds(unit, limits[unit]) for unit in ORDER if unit in limits)


def _hopeless(stairs: Stairs, number: int, budget: Budget) -> bool:
    """Whether a limit is broken by more than any dip, so that nothing larger can obey it."""
    limits, step = budget.limits(), stairs.step(number)
    return any(
        step.exceeds(unit, limits[unit] / (1 - _dip(stairs, number, unit)))
        for unit in ORDER
        if unit in limits
    )


def _dip(stairs: Stairs, number: int, unit: str) -> float:
    """Largest share by which a larger network may cost less than the one at this point."""
    if unit == "latency_ms":
        return LATENCY_DIP
    if unit != "peak_bytes":
        return 0.0
    width, dip = stairs.factors(number).width, stairs.family.dip
    parts = width < dip.until and width != stairs.factors(stairs.low).width
    return dip.share if parts else 0.0


def _impossible(family: str, budget: Budget, stairs: Stairs, fixed: bool) -> str:
    smallest, step = stairs.network(stairs.low), stairs.step(stairs.low)
    used = ", ".join(quoted(unit, step.used(unit)) for unit in budget.limits())
    where = f" at {smallest.input.height} pixels" if fixed else ""
    which = f"its smallest for {smallest.num_classes} classes, {smallest.name}"
    return f"nothing in {family} fits {budget}{where}; {which}, has {used}"
