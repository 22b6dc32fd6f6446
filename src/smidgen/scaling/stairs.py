"""The networks along φ: rounding makes them a staircase, whose steps are measured when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from smidgen.families import Family
from smidgen.graph import Network
from smidgen.scaling.compound import Baseline
from smidgen.scaling.costing import Costing, Latency
from smidgen.scaling.rules import Multipliers, Scaling
from smidgen.spec import SmidgenError

__all__ = ["PHI_RANGE", "PHI_STEP", "Stairs", "last"]

PHI_RANGE = (-32.0, 10.0)
PHI_STEP = 1 / 1024

LARGEST_SIDE = 16_384  # pixels, of any network here


class Stairs:
    """Networks of one baseline on a lattice of φ, PHI_STEP apart, numbered from `low` to `high`.

    depth    multiplier of the depth that stays, whatever the rule says; None: the rule's
    classes  names of the classes where they are known
    """

    def __init__(
        self,
        start: Baseline,
        rule: Scaling,
        depth: float | None,
        classes: tuple[str, ...],
        latency: Latency | None,
    ) -> None:
        self._start, self._rule, self._depth = start, rule, depth
        self._classes, self._latency = classes, latency
        self._steps: dict[int, Costing] = {}
        self._known: dict[Any, Costing] = {}
        self.low, high = (round(phi / PHI_STEP) for phi in PHI_RANGE)
        self.high = last(0, high + 1, self._possible)

    @property
    def family(self) -> Family:
        """Of the baseline."""
        return self._start.family

    def factors(self, number: int) -> Multipliers:
        """Multipliers at a point of the lattice."""
        factors = self._rule.multipliers(number * PHI_STEP)
        return factors if self._depth is None else factors._replace(depth=self._depth)

    def network(self, number: int) -> Network:
        """The network at a point of the lattice; its name says the multipliers there."""
        factors = self.factors(number)
        name = f"{self._start.family.name}_w{factors.width:.2f}_d{factors.depth:.2f}"
        if self._start.least is not None:
            name += f"_r{self._start.side(factors)}"
        name += self._start.suffix
        return dataclasses.replace(self._start.network(factors, name), classes=self._classes)

    def step(self, number: int) -> Costing:
        """The step that a point of the lattice is on: networks that differ in their name alone are one."""
        if number not in self._steps:
            network = self.network(number)
            key = (network.input, len(network.name), network.tree)  # the name is a part of the file
            self._steps[number] = self._known.setdefault(key, Costing(network, self._latency))
        return self._steps[number]

    def highest(self, low: int, high: int, holds: Callable[[Costing], bool]) -> int:
        """Largest number in low..high whose step `holds`, asking every step from above; low - 1 if none."""
        if self.step(low) is self.step(high):  # nothing shrinks as φ grows: all between them is equal too
            return high if holds(self.step(high)) else low - 1
        middle = (low + high) // 2
        found = self.highest(middle + 1, high, holds)
        return found if found > middle else self.highest(low, middle, holds)

    def _possible(self, number: int) -> bool:
        """Whether every multiplier and the side of the pictures are in range."""
        try:
            return self._start.side(self.factors(number)) <= LARGEST_SIDE
        except SmidgenError:
            return False


def last(yes: int, no: int, holds: Callable[[int], bool]) -> int:
    """Largest number from `yes` to below `no` that `holds`, which it does up to there; `yes` is not asked."""
    while no - yes > 1:
        middle = (yes + no) // 2
        if holds(middle):
            yes = middle
        else:
            no = middle
    return yes
