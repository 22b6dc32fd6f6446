"""The networks along φ: rounding makes them a staircase, whose steps are measured when they are asked for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from smidgen import modelfile
from smidgen.families import Family
from smidgen.graph import Network
from smidgen.scaling.compound import Baseline
from smidgen.scaling.rules import Multipliers, Scaling
from smidgen.spec import Budget, BudgetError, Cost, Excess, SmidgenError

__all__ = ["PHI_RANGE", "PHI_STEP", "Latency", "Stairs", "Step", "file_bytes", "last"]

PHI_RANGE = (-32.0, 10.0)
PHI_STEP = 1 / 1024

LARGEST_SIDE = 16_384  # pixels, of any network here

# What training adds to the file: provenance, metrics, versions.
PROVENANCE_RESERVE = 2_000

# A network to the milliseconds that a device will need for one picture.
Latency = Callable[[Network], float]


# What the weights of the file are stored as, by the unit of a budget.
_STORED: dict[str, modelfile.Weights] = {"weight_bytes": "float32", "int8_bytes": "int8"}
_LEAST = {"weight_bytes": 4, "int8_bytes": 1}  # bytes of a parameter


def file_bytes(network: Network, unit: str = "weight_bytes") -> int:
    """Size of the model file in a unit of a budget, with room for what training adds to it."""
    return modelfile.weight_bytes(network, weights=_STORED[unit]) + PROVENANCE_RESERVE


class Step:
    """One network of the staircase; each cost is counted at most once."""

    def __init__(self, network: Network, latency: Latency | None) -> None:
        self.network = network
        self._latency = latency
        self._files: dict[str, int] = {}

    @functools.cached_property
    def _cost(self) -> Cost:
        return self.network.cost()

    @functools.cached_property
    def _time(self) -> float:
        if self._latency is None:
            raise BudgetError("latency_ms has no device that it could be predicted for")
        return self._latency(self.network)

    def used(self, unit: str) -> float:
        """Cost in a unit of a budget."""
        if unit in _STORED:
            if unit not in self._files:
                self._files[unit] = file_bytes(self.network, unit)
            return self._files[unit]
        if unit == "latency_ms":
            return self._time
        return int(getattr(self._cost, unit))

    def exceeds(self, unit: str, limit: float) -> bool:
        """Whether the cost is above `limit`; a file that its parameters alone overfill is not measured."""
        if unit in _STORED and _LEAST[unit] * self._cost.params > limit:
            return True
        return self.used(unit) > limit

    def excesses(self, budget: Budget) -> list[Excess]:
        """Limits that the network breaks, worst first."""
        return budget.excesses({unit: self.used(unit) for unit in budget.limits()})


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
        self._steps: dict[int, Step] = {}
        self._known: dict[Any, Step] = {}
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

    def step(self, number: int) -> Step:
        """The step that a point of the lattice is on: networks that differ in their name alone are one."""
        if number not in self._steps:
            network = self.network(number)
            key = (network.input, len(network.name), network.tree)  # the name is a part of the file
            self._steps[number] = self._known.setdefault(key, Step(network, self._latency))
        return self._steps[number]

    def highest(self, low: int, high: int, holds: Callable[[Step], bool]) -> int:
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
