"""Candidates: the largest networks of every family inside the budget, in several shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.families import families
from smidgen.scaling import RULES, Solution
from smidgen.scaling.compound import stride_choices
from smidgen.scaling.device import Device
from smidgen.scaling.on_device import solve_on
from smidgen.spec import Budget, BudgetError, ShapeError
from smidgen.train.material import Material
from smidgen.watch import Watch

__all__ = ["DEPTHS", "LEAST_USE", "SHAPES", "propose"]

# Depths of the baseline that shapes are tried at, the width filling the budget; beside them, the compound
# rule's own balance of the two, that of other rules, and shapes that are the family's own.
DEPTHS = (1 / 6, 1 / 3, 2 / 3, 1.0, 4 / 3)
SHAPES = 3  # of one family, at the pictures' own size
# Rules by which the pictures shrink too, where that saves what the budget limits.
SHRINKING = ("compound", "tinynet")
LEAST_SIDE = 0.5  # of the pictures' own
# Shapes that rounding leaves further below the family's best use of the budget waste it.
LEAST_USE = 0.75


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What candidates are solved for; fields as the parameters of `propose`."""

    material: Material
    budget: Budget
    device: Device | None
    shrink: bool
    dropped_strides: int | None

    def strides(self, family: str) -> tuple[int, ...]:
        """Numbers of dropped strides to try, the usual one first."""
        if self.dropped_strides is not None:
            return (self.dropped_strides,)
        usual, *others = stride_choices(
            family, resolution=self.material.resolution, c_in=self.material.channels
        )
        return (usual, *others) if self.budget.limits_maps else (usual,)

    def solution(self, family: str, dropped: int, **options: Any) -> Solution:
        """The largest network of these options for the data's classes. Raises BudgetError as `solve`."""
        return solve_on(
            family,
            self.budget,
            self.device,
            num_classes=len(self.material.dataset.classes),
            c_in=self.material.channels,
            classes=self.material.dataset.classes,
            dropped_strides=dropped,
            **options,
        )


def propose(
    material: Material,
    budget: Budget,
    watch: Watch,
    chosen: tuple[str, ...] = (),
    device: Device | None = None,
    shrink: bool = True,
    dropped_strides: int | None = None,
) -> list[Solution]:
    """Largest networks of every family (or of those `chosen`) inside the budget, for these pictures.

    device           whose milliseconds the budget limits, if it limits any
    shrink           whether a network may see smaller pictures, to have more layers and channels for the
                     same cost
    dropped_strides  of all candidates; default: as few as small pictures need, and beside them the published
                     strides, where the budget limits what those save
    returns          up to SHAPES of each family: shallow and wide, deep and narrow, and between; one more
                     with the published strides, and one more for smaller pictures
    Raises           BudgetError where no family has one; it names the smallest of each.
    """
    wanted = _Wanted(material, budget, device, shrink, dropped_strides)
    found: list[Solution] = []
    refusals: dict[str, str] = {}
    for family in chosen or families():
        try:
            found += _of_family(family, wanted)
        except (BudgetError, ShapeError) as error:
            refusals[family] = str(error)
    if not found:
        raise BudgetError(_impossible(wanted, refusals))
    for refusal in refusals.values():
        watch.say(refusal)
    return found


def _of_family(family: str, wanted: _Wanted) -> list[Solution]:
    """Shapes with the usual strides, or with the published ones where nothing else fits; then what may be
    larger by saving on maps.
    """
    usual, *published = wanted.strides(family)
    try:
        shapes, dropped = _shapes(family, wanted, usual), usual
    except BudgetError:
        if not published:
            raise
        shapes, dropped, published = _shapes(family, wanted, published[0]), published[0], []
    found = list(shapes)
    for other in published:
        with contextlib.suppress(BudgetError):
            found.append(wanted.solution(family, other, resolution=wanted.material.resolution))
    if wanted.shrink and wanted.budget.limits_maps:
        found += _shrunk(family, wanted, dropped, max(one.network.cost().params for one in shapes))
    return found


def _shapes(family: str, wanted: _Wanted, dropped: int) -> list[Solution]:
    """The compound rule's network first, and others of other shapes that use the budget as well or better."""

    def found(**options: Any) -> Solution:
        return wanted.solution(family, dropped, resolution=wanted.material.resolution, **options)

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


def _shrunk(family: str, wanted: _Wanted, dropped: int, most: int) -> list[Solution]:
    """The network for smaller pictures that has the most parameters; none where that is not above `most`."""
    own, solutions = wanted.material.resolution, []
    for rule in SHRINKING:
        with contextlib.suppress(BudgetError):
            solutions.append(wanted.solution(family, dropped, base_resolution=own, rule=RULES[rule]))
    smaller = [one for one in solutions if LEAST_SIDE * own <= one.network.input.height < own]
    larger = [one for one in smaller if one.network.cost().params > most]
    return sorted(larger, key=lambda one: one.network.cost().params)[-1:]


def _use(solution: Solution) -> float:
    """Largest share that the network takes of any limit."""
    return 1 - min(solution.slack.values())


def _impossible(wanted: _Wanted, refusals: Mapping[str, str]) -> str:
    smallest = (f"{family} {text.rpartition(', has ')[2]}" for family, text in refusals.items())
    where = f"at {wanted.material.resolution} pixels"
    return f"no network fits {wanted.budget} {where}; the smallest have: {'; '.join(smallest)}"
