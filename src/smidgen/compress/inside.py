"""Cuts of a published network that obey limits, each pruned no more than it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from smidgen.compress.cut import Place, cut, kept, places
from smidgen.compress.importance import importance, made_good
from smidgen.compress.prune import narrowed, prune
from smidgen.compress.share import LEAST_LEFT, Share, chosen
from smidgen.compress.wiring import Keep, Tensors, Wiring, wire
from smidgen.graph import Network
from smidgen.spec import BudgetError, SmidgenError

__all__ = ["Cutting", "inside", "made"]

STEPS = 32  # that a share is divided into
_MOST = int((1 - LEAST_LEFT) * STEPS)


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a network was made of a published one.

    child, blocks  where it was cut
    share          of the inner channels that went; of the stream's, half of that
    closed         whether the last block has its projection, as in `Place`
    """

    child: int
    blocks: int
    share: float = 0.0
    closed: bool = True

    @property
    def place(self) -> Place:
        """Where it was cut."""
        return Place(self.child, self.blocks, self.closed)

    def to_json(self) -> dict[str, Any]:
        """Value for `json.dumps`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Cutting:
        """Cutting of a document by `to_json`; closed where it does not say. Raises SmidgenError on others."""
        try:
            closed = bool(document.get("closed", True))
            return cls(int(document["child"]), int(document["blocks"]), float(document["share"]), closed)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SmidgenError(f"{document!r:.60} does not say how a network was cut") from error


def made(network: Network, tensors: Tensors, cutting: Cutting) -> tuple[Network, dict[str, NDArray[Any]]]:
    """The network that was cut and pruned so, and its weights, all but the new head's; always the same.

    network, tensors  as for `cut` and `kept`
    Raises            SmidgenError where it cannot be cut there; WeightsError where tensors do not fit.
    """
    whole = _Whole(network, tensors, cutting.place)
    return whole.made(cutting.share)


def inside(
    network: Network, tensors: Tensors, fits: Callable[[Network], bool], most: int = 4
) -> list[Cutting]:
    """Cuts that obey limits and use them best: the longest that fits as it is, then those beyond it, pruned.

    Where that is closed, its block's open end comes first if it fits too: its head reads more channels. Of
    pruned blocks the closed end is left out where the open one needs no more pruning.
    Each of these is pruned as little as its place needs, in steps of 1/32, to a quarter of the inner channels
    at the least. `made` gives the networks.

    fits    whether a network obeys the limits; narrower and shorter ones should whenever it does
    most    how many are wanted
    Raises  BudgetError where even the smallest does not fit; it names that and its costs.
    """
    found: list[Cutting] = []
    there = places(network)
    for place in there:
        share = _least(network, tensors, place, fits)
        if share is not None:
            twins = [one for one in found if one.place[:2] == place[:2] and one.share <= share]
            if share == 0:
                found = twins
            if share == 0 or not twins:
                found.append(Cutting(place.child, place.blocks, share, place.closed))
        elif place.closed:
            break  # an open end may cost more than the closed one behind it
    if not found:
        smallest, _ = made(
            network, tensors, Cutting(there[0].child, there[0].blocks, _MOST / STEPS, there[0].closed)
        )
        cost = smallest.cost()
        raise BudgetError(
            f"nothing cut from {network.name} fits: the smallest, {smallest.name}, "
            f"has params={cost.params:,}, macs={cost.macs:,}, peak_bytes={cost.peak_bytes:,}"
        )
    return found[:most]


class _Whole:
    """A cut network, and what is needed to prune it by any share."""

    def __init__(self, network: Network, tensors: Tensors, place: Place) -> None:
        self.network = cut(network, place)
        self.tensors = kept(tensors, self.network)
        self._wiring: Wiring | None = None

    def narrowed(self, share: float) -> Network:
        """The network alone."""
        return narrowed(self.network, *self._chosen(share)) if share else self.network

    def made(self, share: float) -> tuple[Network, dict[str, NDArray[Any]]]:
        """The network with its weights."""
        if not share:
            return self.network, self.tensors
        wiring, keep = self._chosen(share)
        changed = made_good(self.network, self.tensors, wiring, keep)
        small, left = prune(self.network, {**self.tensors, **changed}, keep)
        return dataclasses.replace(small, name=f"{small.name}_pruned{round(100 * share)}"), left

    def _chosen(self, share: float) -> tuple[Wiring, Keep]:
        if self._wiring is None:
            self._wiring = wire(self.network)
            self._importance = importance(self.network, self.tensors, self._wiring)
        return self._wiring, chosen(self._wiring, self._importance, Share(share, share / 2))


def _least(network: Network, tensors: Tensors, place: Place, fits: Callable[[Network], bool]) -> float | None:
    """The least share that has to go for this cut to fit; None where the greatest is not enough."""
    whole = _Whole(network, tensors, place)

    def enough(step: int) -> bool:
        return fits(whole.narrowed(step / STEPS))

    if enough(0):
        return 0.0
    if not enough(_MOST):
        return None
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high / STEPS
