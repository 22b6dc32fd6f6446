"""Every network along φ, found beside `solve` by building what the rule says at each point."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

from smidgen import families
from smidgen.families import Request, realise
from smidgen.graph import Network
from smidgen.scaling import RULES, costs
from smidgen.scaling.stairs import PHI_RANGE, PHI_STEP
from smidgen.spec import Budget, ShapeError

FAMILIES = tuple(families.families())
UNITS = ("params", "macs", "weight_bytes", "int8_bytes", "peak_bytes")
LOW, HIGH = (round(phi / PHI_STEP) for phi in PHI_RANGE)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a staircase is made for.

    moves    the resolution follows the rule, from `side` at φ = 0
    dropped  strides; None: the default's
    """

    family: str
    side: int
    moves: bool = False
    rule: str = "compound"
    depth: float | None = None
    classes: int = 10
    c_in: int = 3
    expand: float | None = None
    dropped: int | None = None

    def arguments(self) -> dict[str, object]:
        """Of `solve`."""
        side = {"base_resolution": self.side} if self.moves else {"resolution": self.side}
        rest = {"num_classes": self.classes, "c_in": self.c_in, "depth": self.depth}
        rest["dropped_strides"] = self.dropped
        return {**side, **rest, **self.own, "rule": RULES[self.rule]}

    @property
    def own(self) -> dict[str, float]:
        """Options of the family's own."""
        return {} if self.expand is None else {"expand": self.expand}

    @property
    def published(self) -> Setting | None:
        """The same with the published strides, where the default drops some and these leave a pixel."""
        least = {"efficientnet": 32, "resnet": 4, "shiftnet": 4 if self.side <= 64 else 32, "squeezenet": 17}
        if not _usual(self) or self.side < least[self.family]:
            return None
        return dataclasses.replace(self, dropped=0)


@functools.cache
def _least(setting: Setting) -> int:
    """Smallest multiple of 8 that leaves a map: kernels may be unpadded where no stride is dropped."""
    family = families.families()[setting.family]
    row = family.scaled(1, 1, setting.side)
    for side in range(8, setting.side, 8):
        request = Request(setting.classes, setting.c_in, side, own=setting.own)
        with contextlib.suppress(ShapeError):
            realise(family, row, "x", request, _dropped(setting)).cost()
            return side
    return setting.side


def _dropped(setting: Setting) -> int:
    return _usual(setting) if setting.dropped is None else setting.dropped


@functools.cache
def _usual(setting: Setting) -> int:
    family = families.families()[setting.family]
    request = Request(setting.classes, setting.c_in, setting.side, own=setting.own)
    return realise(family, family.scaled(1, 1, setting.side), "x", request).dropped_strides


def at(setting: Setting, number: int) -> Network:
    """The network at a point of the lattice."""
    depth, width, zoom = RULES[setting.rule].multipliers(number * PHI_STEP)
    depth = depth if setting.depth is None else setting.depth
    family = families.families()[setting.family]
    side, name = setting.side, f"{setting.family}_w{width:.2f}_d{depth:.2f}"
    if setting.moves:
        side = max(_least(setting), round(side * zoom / 8) * 8)
        name += f"_r{side}"
    if setting.expand is not None:
        name += f"_expand{setting.expand:.2f}"
    if _dropped(setting) != _usual(setting):
        name += f"_dropped{_dropped(setting)}"
    row = family.scaled(width, depth, setting.side)
    request = Request(setting.classes, setting.c_in, side, own=setting.own)
    return realise(family, row, name, request, _dropped(setting))


class Tread(NamedTuple):
    """One step: the last point of the lattice that has this network, and its costs."""

    number: int
    network: Network
    costs: dict[str, int]


@functools.cache
def staircase(setting: Setting, high: int = HIGH) -> tuple[Tread, ...]:
    """All steps, smallest first."""
    networks: dict[int, Network] = {}

    def built(number: int) -> Network:
        if number not in networks:
            networks[number] = at(setting, number)
        return networks[number]

    def same(low: int, high: int) -> bool:
        one, other = built(low), built(high)
        return one.tree == other.tree and one.input == other.input and len(one.name) == len(other.name)

    treads: list[Tread] = []

    def walk(low: int, high: int) -> None:
        if same(low, high):
            if treads and same(treads[-1].number, high):
                treads[-1] = treads[-1]._replace(number=high)
            else:
                treads.append(Tread(high, built(high), costs(built(high))))
            return
        middle = (low + high) // 2
        walk(low, middle)
        walk(middle + 1, high)

    walk(LOW, high)
    return tuple(treads)


def largest(
    treads: tuple[Tread, ...], budget: Budget, latency: Callable[[Network], float] | None = None
) -> Tread | None:
    """The last step that obeys every limit, by asking all of them."""
    for tread in reversed(treads):
        time = {"latency_ms": latency(tread.network)} if latency else {"latency_ms": math.inf}
        if not budget.excesses({**tread.costs, **time}):
            return tread
    return None
