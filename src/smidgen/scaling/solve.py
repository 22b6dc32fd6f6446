"""The largest network of a family that obeys a budget.

Rounding makes cost a staircase in φ. Parameters, multiply-adds and file never fall along it, so bisection
finds their last step. Peak memory and latency may dip: bisection then finds a point that is broken by more
than any dip, above which nothing fits, and the search down from there looks at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.graph import Network
from smidgen.scaling.compound import Baseline, baseline
from smidgen.scaling.costing import Costing, Latency
from smidgen.scaling.rules import PAPER, Scaling, rule_named
from smidgen.scaling.stairs import PHI_STEP, Stairs, last
from smidgen.spec import Budget, BudgetError, SmidgenError, Unit

__all__ = ["Solution", "solve"]

# A predicted time may dip where another kernel takes over; twice the limit is never made good.
LATENCY_DIP = 0.5


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


def solve(
    family: str,
    budget: Budget,
    *,
    rule: Scaling | str = PAPER,
    depth: float | None = None,
    num_classes: int = 1000,
    classes: tuple[str, ...] = (),
    latency: Latency | None = None,
    **options: Any,
) -> Solution:
    """Largest φ whose network obeys every limit at once, to 1/1024.

    Where small pictures drop strides, the published ones are tried too, if the budget limits what they save.
    They are taken where they reach a larger φ and leave a last map of 2 x 2 or more, or where nothing else
    fits.

    rule     one of `RULES`, or its name
    depth    multiplier of the baseline's depth that stays, while the rule moves the rest
    classes  names of the classes where they are known: the model file will hold them, so they cost bytes
    latency  the milliseconds that `budget.latency_ms` limits; a network at twice the limit must not have a
             larger sister that meets it. Default: `Device.bound_ms` of this machine, which is measured at
             first need, for some minutes
    options  those of `baseline`: resolution or base_resolution, c_in, init, dropped_strides (which are then
             the only ones), and options of single families, such as expand=2 for the shift networks
    Raises   BudgetError where the budget is empty, or nothing fits: it names the smallest and its cost.
    """
    budget.require_limit()
    if latency is None and budget.needs_device:
        from smidgen.scaling.measure import this_machine  # brings the engine, which other units do not need

        latency = this_machine().bound_ms
    if isinstance(rule, str):
        rule = rule_named(rule)
    rule.check(unconstrained=True)
    start = baseline(family, num_classes=num_classes, **options)
    found: Solution | None = None
    fixed = options.get("dropped_strides") is not None
    for each in [start] if fixed else _strides(start, budget):
        if found is not None and each.coarse:
            break  # φ does not tell that nothing is left of where things are
        stairs = Stairs(each, rule, depth, classes, latency)
        _require_moves(stairs, each)
        found = _solution(stairs, budget, found) or found
    if found is None:
        fewer = fixed and len(_strides(start, budget)) > 1
        raise BudgetError(_impossible(budget, stairs, each, fewer))
    return found


def _strides(start: Baseline, budget: Budget) -> list[Baseline]:
    """The baseline, and the one with the published strides where they could save what is limited."""
    published = start.published() if budget.limits_maps else None
    return [start, published] if published else [start]


def _require_moves(stairs: Stairs, start: Baseline) -> None:
    """Raise SmidgenError where all networks are one."""
    if start.least is None and stairs.factors(stairs.low)[:2] == stairs.factors(stairs.high)[:2]:
        side = start.request.resolution
        raise SmidgenError(f"nothing is left for this rule to move: the pictures are fixed at {side} pixels")


def _solution(stairs: Stairs, budget: Budget, found: Solution | None) -> Solution | None:
    """The largest network that obeys the budget; None where none is larger than what was found before."""
    beyond = stairs.low if found is None else round(found.phi / PHI_STEP) + 1
    number = _largest(stairs, budget, beyond)
    if number < beyond:
        return None
    best = stairs.step(number)
    slack = {unit.name: 1 - unit.value(best) / limit for unit, limit in budget.limited()}
    next_excesses = stairs.step(number + 1).excesses(budget) if number < stairs.high else []
    binding = next_excesses[0].unit if next_excesses else None
    return Solution(stairs.network(number), number * PHI_STEP, binding, slack)


def _largest(stairs: Stairs, budget: Budget, low: int) -> int:
    """Number of the largest network from `low` on that obeys the budget; below `low` where none does."""
    top = last(low - 1, stairs.high + 1, lambda point: not _hopeless(stairs, point, budget))
    if top < low:
        return top
    return stairs.highest(low, top, lambda step: _obeys(step, budget))


def _obeys(step: Costing, budget: Budget) -> bool:
    return not any(step.exceeds(unit, limit) for unit, limit in _quickest_first(budget))


def _hopeless(stairs: Stairs, number: int, budget: Budget) -> bool:
    """Whether a limit is broken by more than any dip, so that nothing larger can obey it."""
    step = stairs.step(number)
    return any(
        step.exceeds(unit, limit / (1 - _dip(stairs, number, unit)))
        for unit, limit in _quickest_first(budget)
    )


def _quickest_first(budget: Budget) -> list[tuple[Unit, float]]:
    """The limits in the order of the effort that counting takes: what breaks one is asked no further."""
    return sorted(budget.limited(), key=lambda row: row[0].effort)


def _dip(stairs: Stairs, number: int, unit: Unit) -> float:
    """Largest share by which a larger network may cost less than the one at this point."""
    if not unit.may_dip:
        return 0.0
    if unit.needs_device:
        return LATENCY_DIP
    width, dip = stairs.factors(number).width, stairs.family.dip
    parts = width < dip.until and width != stairs.factors(stairs.low).width
    return dip.share if parts else 0.0


def _impossible(budget: Budget, stairs: Stairs, start: Baseline, fewer: bool) -> str:
    """What to say; `fewer`: whether fewer dropped strides, which cost less, are left to try."""
    smallest, step = stairs.network(stairs.low), stairs.step(stairs.low)
    used = ", ".join(unit.quote(unit.value(step)) for unit, _ in budget.limited())
    where = f" at {smallest.input.height} pixels" if start.least is None else ""
    if fewer:
        where += f" with dropped_strides={start.request.dropped_strides} (fewer may fit)"
    which = f"its smallest for {smallest.num_classes} classes, {smallest.name}"
    return f"nothing in {start.family.name} fits {budget}{where}; {which}, has {used}"
