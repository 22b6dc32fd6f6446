"""Candidates: the largest networks of every family inside the budget, in several shapes."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.families import families
from smidgen.scaling import Solution
from smidgen.scaling.device import Device
from smidgen.scaling.on_device import solve_on
from smidgen.spec import Budget, BudgetError
from smidgen.train.material import Material
from smidgen.watch import Watch

__all__ = ["DEPTHS", "LEAST_USE", "SHAPES", "propose"]

# Depths of the baseline that shapes are tried at, the width filling the budget; beside them, the compound
# rule's own balance of the two.
DEPTHS = (1 / 6, 1 / 3, 2 / 3, 1.0, 4 / 3)
SHAPES = 3  # of one family
# Shapes that rounding leaves further below the family's best use of the budget waste it.
LEAST_USE = 0.75


def propose(
    material: Material,
    budget: Budget,
    watch: Watch,
    chosen: tuple[str, ...] = (),
    device: Device | None = None,
) -> list[Solution]:
    """Largest networks of every family (or of those `chosen`) inside the budget, for these pictures.

    device   whose milliseconds the budget limits, if it limits any
    returns  up to SHAPES of each family: shallow and wide, deep and narrow, and between
    Raises   BudgetError where no family has one; it names the smallest of each.
    """
    found: list[Solution] = []
    refusals: dict[str, str] = {}
    for family in chosen or families():
        try:
            found += _shapes(family, material, budget, device)
        except BudgetError as error:
            refusals[family] = str(error)
    if not found:
        raise BudgetError(_impossible(budget, material, refusals))
    for refusal in refusals.values():
        watch.say(refusal)
    return found


def _shapes(family: str, material: Material, budget: Budget, device: Device | None) -> list[Solution]:
    """The compound rule's network, and others of other depths that use the budget as well."""
    solutions = [_solution(family, material, budget, None, device)]
    for depth in DEPTHS:
        try:
            solutions.append(_solution(family, material, budget, depth, device))
        except BudgetError:  # too deep for the budget at any width
            break
    different = list({solution.network.tree: solution for solution in reversed(solutions)}.values())[::-1]
    best = max(map(_use, different))
    well_used = [solution for solution in different if _use(solution) >= LEAST_USE * best]
    return sorted(well_used, key=_use, reverse=True)[:SHAPES]


def _solution(
    family: str, material: Material, budget: Budget, depth: float | None, device: Device | None
) -> Solution:
    return solve_on(
        family,
        budget,
        device,
        num_classes=len(material.dataset.classes),
        c_in=material.channels,
        resolution=material.resolution,
        depth=depth,
        classes=material.dataset.classes,
    )


def _use(solution: Solution) -> float:
    """Largest share that the network takes of any limit."""
    return 1 - min(solution.slack.values())


def _impossible(budget: Budget, material: Material, refusals: Mapping[str, str]) -> str:
    smallest = (f"{family} {text.rpartition(', has ')[2]}" for family, text in refusals.items())
    return (
        f"no network fits {budget} at {material.resolution} pixels; the smallest have: {'; '.join(smallest)}"
    )
