"""Budgets: upper limits in the units of `units.UNITS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from smidgen.spec.errors import BudgetError
from smidgen.spec.units import UNITS, Unit
from smidgen.spec.words import closest, shown

__all__ = ["Budget", "Excess"]


class Excess(NamedTuple):
    """One limit that a network breaks."""

    unit: str
    value: float
    limit: float

    def __str__(self) -> str:
        times = max(1.01, self.value / self.limit)  # what is over never reads as 1.00x
        return f"{self.unit}: {shown(self.value)} is {times:.2f}x the budget of {shown(self.limit)}"


@dataclass(frozen=True, init=False, repr=False)
class Budget:
    """Upper limits that hold all at once; a unit that is left out, or None, is free.

    params, macs   counts, as `Cost` has them
    weight_bytes   the model file as saved, in fp32
    int8_bytes     the model file that it would be with the weights of convolutions and linear layers in int8
    peak_bytes     activation memory, batch 1, fp32
    latency_ms     time of one picture, on a device that the budget does not name; option `latency=2ms`
    Raises         BudgetError where a number cannot be a limit.
    """

    _limits: tuple[tuple[str, float], ...]

    def __init__(self, *, _limits: Any = (), **limits: float | None) -> None:
        given = {**dict(_limits), **limits}  # the first are those that `dataclasses.replace` keeps
        if strange := [name for name in given if name not in UNITS]:
            raise TypeError(f"a budget has no unit {strange[0]!r}; limits are {', '.join(UNITS)}")
        kept = {name: limit for name in UNITS if (limit := given.get(name)) is not None}
        for name, limit in kept.items():
            UNITS[name].check(limit)
        object.__setattr__(self, "_limits", tuple(kept.items()))

    if TYPE_CHECKING:  # what `__getattr__` makes of the table

        @property
        def params(self) -> int | None: ...  # noqa: D102
        @property
        def macs(self) -> int | None: ...  # noqa: D102
        @property
        def weight_bytes(self) -> int | None: ...  # noqa: D102
        @property
        def int8_bytes(self) -> int | None: ...  # noqa: D102
        @property
        def peak_bytes(self) -> int | None: ...  # noqa: D102
        @property
        def latency_ms(self) -> float | None: ...  # noqa: D102
    else:

        def __getattr__(self, name: str) -> float | None:
            if name not in UNITS:
                raise AttributeError(f"a budget has no {name!r}; limits are {', '.join(UNITS)}")
            return self.limits().get(name)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `params=200k, macs=3M, latency=2ms`.

        Raises   BudgetError on an unknown or repeated unit, an unreadable number, or a count in bytes.
        """
        limits: dict[str, float | None] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, value = _limit(part)
            if name in limits:
                raise BudgetError(f"'{name}' is given twice")
            limits[name] = value
        budget = cls(**limits)
        budget.require_limit()
        return budget

    def require_limit(self) -> None:
        """Raise BudgetError where nothing is limited."""
        if not self._limits:
            raise BudgetError("the budget is empty; write at least one limit, as in params=200k")

    @classmethod
    def units(cls) -> tuple[str, ...]:
        """Names of the units a budget may limit."""
        return tuple(UNITS)

    def limits(self) -> dict[str, float]:
        """The limits that are set, by unit."""
        return dict(self._limits)

    def limited(self) -> tuple[tuple[Unit, float], ...]:
        """The units that are limited, with their limits."""
        return tuple((UNITS[name], limit) for name, limit in self._limits)

    def replace(self, **limits: float | None) -> Budget:
        """The budget with other limits; None frees a unit."""
        return Budget(**{**self.limits(), **limits})

    @property
    def needs_device(self) -> bool:
        """Whether a limit is a device's, such as its milliseconds."""
        return any(unit.needs_device for unit, _ in self.limited())

    @property
    def limits_maps(self) -> bool:
        """Whether smaller maps save anything that is limited."""
        return any(unit.of_maps for unit, _ in self.limited())

    def counted(self) -> Budget:
        """The limits that hold on any device."""
        return Budget(**{unit.name: limit for unit, limit in self.limited() if not unit.needs_device})

    def excesses(self, costs: Mapping[str, float]) -> list[Excess]:
        """Limits that `costs` (unit -> value) breaks, worst first."""
        broken = [Excess(name, costs[name], limit) for name, limit in self._limits if costs[name] > limit]
        return sorted(broken, key=lambda excess: excess.limit / excess.value)

    def __str__(self) -> str:
        return ", ".join(UNITS[name].quote(limit) for name, limit in self._limits)

    def __repr__(self) -> str:
        return f"Budget({', '.join(f'{name}={limit!r}' for name, limit in self._limits)})"


def _limit(text: str) -> tuple[str, float]:
    """Unit and value of `params=200k`, or of `latency=2ms`."""
    name, equals, value = (piece.strip() for piece in text.partition("="))
    if not equals:
        raise BudgetError(f"{text!r:.60} is not a limit; write unit=number, as in params=200k")
    if "=" in value:
        raise BudgetError(f"{text!r:.60} holds two limits; put a comma between them")
    for unit in UNITS.values():
        if name in (unit.name, unit.written):
            return unit.name, unit.parse(value, spelt=name)
    raise BudgetError(f"no unit {name!r:.40}; {closest(name, UNITS)}limits are {', '.join(UNITS)}")
