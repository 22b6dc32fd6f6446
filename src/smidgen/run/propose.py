"""Candidates: the largest networks of every family inside the budget, in several shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from smidgen.families import families
from smidgen.scaling import RULES, Solution
from smidgen.scaling.device import Device
from smidgen.scaling.on_device import solve_on
from smidgen.spec import Budget, BudgetError
from smidgen.train.material import Material
from smidgen.watch import Watch

__all__ = ["DEPTHS", "LEAST_USE", "SHAPES", "propose"]

# Depths of the baseline that shapes are tried at, the width filling the budget; beside them, the compound
# rule's own balance of the two, that of other rules, and shapes that are the family's own.
DEPTHS = (1 / 6, 1 / 3, 2 / 3, 1.0, 4 / 3)
SHAPES = 3  # of one family, at the pictures' own size
# Rules by which the pictures shrink too, where that saves what the budget limits.
SHRINKING = ("compound", "tinynet")
OF_PICTURES = ("macs", "peak_bytes", "latency_ms")
LEAST_SIDE = 0.5  # of the pictures' own
# Shapes that rounding leaves further below the family's best use of the budget waste it.
LEAST_USE = 0.75


def propose(
    material: Material,
    budget: Budget,
    watch: Watch,
    chosen: tuple[str, ...] = (),
    device: Device | None = None,
    shrink: bool = True,
) -> list[Solution]:
    """Largest networks of every family (or of those `chosen`) inside the budget, for these pictures.

    device   whose milliseconds the budget limits, if it limits any
    shrink   whether a network may see smaller pictures, to have more layers and channels for the same cost
    returns  up to SHAPES of each family: shallow and wide, deep and narrow, and between; and one more for
             smaller pictures
    Raises   BudgetError where no family has one; it names the smallest of each.
    """
    found: list[Solution] = []
    refusals: dict[str, str] = {}
    for family in chosen or families():
        try:
            shapes = _shapes(family, material, budget, device)
            found += shapes
            if shrink and any(unit in budget.limits() for unit in OF_PICTURES):
                most = max(solution.network.cost().params for solution in shapes)
                found += _shrunk(family, material, budget, device, most)
        except BudgetError as error:
            refusals[family] = str(error)
    if not found:
        raise BudgetError(_impossible(budget, material, refusals))
    for refusal in refusals.values():
        watch.say(refusal)
    return found


def _shapes(family: str, material: Material, budget: Budget, device: Device | None) -> list[Solution]:
    """The compound rule's network first, and others of other shapes that use the budget as well or better."""

    def found(**options: Any) -> Solution:
        return _solution(family, material, budget, device, resolution=material.resolution, **options)

    solutions = [found()]
    others: list[dict[str, Any]] = [{"depth": depth} for depth in DEPTHS]
    others += [{"rule": RULES["tinynet"]}, *map(dict, families()[family].shapes)]
    for options in others:
        # It may be too deep, or too wide between its convolutions, for the budget at any width.
        with contextlib.suppress(BudgetError):
            solutions.append(found(**options))
    different = list({solution.network.tree: solution for solution in reversed(solutions)}.values())[::-1]
    best = max(map(_use, different))
    well_used = [solution for solution in different if _use(solution) >= LEAST_USE * best]
    ranked = sorted(well_used, key=lambda one: (one is not solutions[0], -_use(one)))
    return ranked[:SHAPES]


def _shrunk(
    family: str, material: Material, budget: Budget, device: Device | None, most: int
) -> list[Solution]:
    """The network for smaller pictures that has the most parameters; none where that is not above `most`."""
    solutions = []
    for rule in SHRINKING:
        with contextlib.suppress(BudgetError):
            solutions.append(
                _solution(
                    family, material, budget, device, base_resolution=material.resolution, rule=RULES[rule]
                )
            )
    least = LEAST_SIDE * material.resolution
    smaller = [one for one in solutions if least <= one.network.input.height < material.resolution]
    larger = [one for one in smaller if one.network.cost().params > most]
    return sorted(larger, key=lambda one: one.network.cost().params)[-1:]


def _solution(
    family: str, material: Material, budget: Budget, device: Device | None, **options: Any
) -> Solution:
    return solve_on(
        family,
        budget,
        device,
        num_classes=len(material.dataset.classes),
        c_in=material.channels,
        classes=material.dataset.classes,
        **options,
    )


def _use(solution: Solution) -> float:
    """Largest share that the network takes of any limit."""
    return 1 - min(solution.slack.values())


def _impossible(budget: Budget, material: Material, refusals: Mapping[str, str]) -> str:
    smallest = (f"{family} {text.rpartition(', has ')[2]}" for family, text in refusals.items())
    return (
        f"no network fits {budget} at {material.resolution} pixels; the smallest have: {'; '.join(smallest)}"
    )
