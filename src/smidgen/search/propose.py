"""One candidate from every family, scaled into the budget."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.families import families
from smidgen.scaling import Solution, solve
from smidgen.spec import Budget, BudgetError
from smidgen.train.material import Material
from smidgen.watch import Watch

__all__ = ["propose"]


def propose(material: Material, budget: Budget, watch: Watch, chosen: tuple[str, ...] = ()) -> list[Solution]:
    """Largest network of every family (or of those `chosen`) inside the budget, for these pictures.

    Raises   BudgetError where no family has one; it names the smallest of each.
    """
    found: list[Solution] = []
    refusals: dict[str, str] = {}
    for family in chosen or families():
        try:
            solution = solve(
                family,
                budget,
                num_classes=len(material.dataset.classes),
                c_in=material.channels,
                resolution=material.resolution,
                classes=material.dataset.classes,
            )
        except BudgetError as error:
            refusals[family] = str(error)
        else:
            found.append(solution)
    if not found:
        raise BudgetError(_impossible(budget, material, refusals))
    for refusal in refusals.values():
        watch.say(refusal)
    return found


def _impossible(budget: Budget, material: Material, refusals: Mapping[str, str]) -> str:
    smallest = (f"{family} {text.partition('its smallest has ')[2]}" for family, text in refusals.items())
    return (
        f"no network fits {budget} at {material.resolution} pixels; the smallest have: {'; '.join(smallest)}"
    )
