"""What a network costs in the units of a budget."""

from __future__ import annotations

import functools
from collections.abc import Callable

from smidgen import modelfile
from smidgen.graph import Network
from smidgen.spec import LATENCY, UNITS, Budget, BudgetError, Cost, Excess, Unit

__all__ = ["PROVENANCE_RESERVE", "Costing", "Latency", "costs"]

# What training adds to the file: provenance, metrics, versions.
PROVENANCE_RESERVE = 2_000

# A network to the milliseconds that a device will need for one picture.
Latency = Callable[[Network], float]


class Costing:
    """A network and its costs, each counted at most once, when it is asked for.

    latency  of the device that is meant; None where no time is asked for
    """

    def __init__(self, network: Network, latency: Latency | None = None) -> None:
        self.network = network
        self._latency = latency
        self._files: dict[str, int] = {}

    @functools.cached_property
    def cost(self) -> Cost:
        """What is counted from the tree."""
        return self.network.cost()

    @functools.cached_property
    def milliseconds(self) -> float:
        """Time of one picture. Raises BudgetError without a device."""
        if self._latency is None:
            raise BudgetError(f"{LATENCY.name} has no device that it could be predicted for")
        return self._latency(self.network)

    def file_bytes(self, weights: modelfile.Weights) -> int:
        """Size of the model file, with room for what training adds to it."""
        if weights not in self._files:
            size = modelfile.weight_bytes(self.network, weights=weights)
            self._files[weights] = size + PROVENANCE_RESERVE
        return self._files[weights]

    def exceeds(self, unit: Unit, limit: float) -> bool:
        """Whether the cost is above `limit`; a file that its parameters alone overfill is not measured."""
        return unit.least * self.cost.params > limit or unit.value(self) > limit

    def excesses(self, budget: Budget) -> list[Excess]:
        """Limits that the network breaks, worst first."""
        return budget.excesses({unit.name: unit.value(self) for unit, _ in budget.limited()})


def costs(network: Network) -> dict[str, int]:
    """Costs of a network in the units of a budget that are counted; latency, which is predicted, is not."""
    counted = Costing(network)
    return {name: int(unit.value(counted)) for name, unit in UNITS.items() if not unit.needs_device}
