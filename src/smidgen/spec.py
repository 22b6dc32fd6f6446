"""The words every layer shares: shapes, costs, budgets and the errors a user meets.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "Budget",
    "BudgetError",
    "Cost",
    "DataError",
    "DependencyError",
    "Excess",
    "ModelFileError",
    "PictureError",
    "Shape",
    "ShapeError",
    "SmidgenError",
    "SmidgenWarning",
    "StoppedError",
    "TreeError",
    "UnknownNameError",
    "WeightsError",
    "about",
    "closest",
    "milliseconds",
    "quantity",
    "shown",
]


class SmidgenError(Exception):
    """A user's mistake or a broken input: one line saying what came, what was needed, what to do."""


class SmidgenWarning(RuntimeWarning, UserWarning):
    """Something that works, but not as well as it could: one line that a user should see, from us alone."""


class UnknownNameError(SmidgenError):
    """A name that does not exist; the message offers the nearest that do."""


class TreeError(SmidgenError):
    """A tree of nodes that breaks the rules in `graph.validate`."""


class ShapeError(SmidgenError):
    """A tensor or node met a shape that it cannot take."""


class BudgetError(SmidgenError):
    """A budget that cannot be read, or that nothing can meet."""


class PictureError(SmidgenError):
    """A picture that cannot be decoded, or that is refused."""


class DataError(SmidgenError):
    """A data set that cannot be trained or evaluated on."""


class ModelFileError(SmidgenError):
    """A model file that is missing, truncated, foreign or too new."""


class WeightsError(SmidgenError):
    """Published weights that do not exist, cannot be fetched, or fail their hash."""


class StoppedError(SmidgenError):
    """Somebody asked long work to end; what was done is kept, and the message says how to go on."""


class DependencyError(SmidgenError):
    """An optional dependency is absent; the message says what to install."""


class Shape(NamedTuple):
    """Shape of one sample: channels and map size, or `flat` features (height and width are then 1)."""

    channels: int
    height: int = 1
    width: int = 1
    flat: bool = False

    @property
    def numel(self) -> int:
        """Number of elements of one sample."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        if self.flat:
            return str(self.channels)
        return f"{self.channels}x{self.height}x{self.width}"


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What one network costs for one picture, counted exactly from its tree.

    params       trainable numbers
    buffers      other numbers in the state (BatchNorm statistics and counters)
    macs         multiply-adds of convolutions and linear layers (1 MAC = 2 FLOPs)
    elementwise  operations that macs leave out: norms, activations, pooling, sums, gates
    peak_bytes   most activation bytes alive at once, batch 1, fp32, input included
    """

    params: int
    buffers: int
    macs: int
    elementwise: int
    peak_bytes: int


# Suffix -> factor. Lengths in bytes and plain counts share the decimal prefixes.
_UNITS = {
    "": 1,
    "k": 1_000,
    "m": 1_000_000,
    "g": 1_000_000_000,
    "b": 1,
    "kb": 1_000,
    "mb": 1_000_000,
    "gb": 1_000_000_000,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_QUANTITY = re.compile(r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*([A-Za-z]*)\s*")
_LARGEST = 10**18  # no network comes near; far smaller than what overflows


def quantity(text: str) -> int:
    """Read a number with a unit: `200k`, `3M`, `64KiB`, `1.5 MB`.

    Raises   BudgetError on anything else, and beyond 10^18.
    """
    if text.strip().startswith("-"):
        raise BudgetError(f"{text.strip()!r:.60}: a limit must be at least 1")
    match = _QUANTITY.fullmatch(text)
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise BudgetError(
            f"{text.strip()!r:.60} is not a quantity; write a number with k, M, G, KB, MB, KiB or MiB"
        )
    number = float(match[1]) * factor
    if number > _LARGEST:
        raise BudgetError(f"{text.strip()!r:.60} is out of range; at most 10^18 can be asked for")
    return round(number)


_TIMES = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def milliseconds(text: str) -> float:
    """Read a time with a unit: `2ms`, `800us`, `1.5 s`.

    Raises   BudgetError on anything else, and beyond 10^18.
    """
    match = _QUANTITY.fullmatch(text)
    factor = _TIMES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise BudgetError(f"{text.strip()!r:.60} is not a time; write a number with us, ms or s")
    time = float(match[1]) * factor
    if time > _LARGEST:
        raise BudgetError(f"{text.strip()!r:.60} is out of range; at most 10^18 ms can be asked for")
    return time


class Excess(NamedTuple):
    """One limit that a network breaks."""

    unit: str
    value: float
    limit: float

    def __str__(self) -> str:
        times = max(1.01, self.value / self.limit)  # what is over never reads as 1.00x
        return f"{self.unit}: {shown(self.value)} is {times:.2f}x the budget of {shown(self.limit)}"


def shown(value: float) -> str:
    """A count in full; a time in four digits, or in whole milliseconds."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write `1 epoch`, `60 epochs`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def about(seconds: float) -> str:
    """A time that is only known roughly: `40 s`, `6 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(1, 5 * round(seconds / 5) if seconds > 20 else round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def quoted(unit: str, value: float) -> str:
    """A cost as a budget writes it: `params=1,000`, `latency=2ms`."""
    return f"latency={shown(value)}ms" if unit == "latency_ms" else f"{unit}={shown(value)}"


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits that hold all at once; `None` leaves a unit free.

    params, macs   counts, as `Cost` has them
    weight_bytes   the model file as saved, in fp32
    int8_bytes     the model file that it would be with the weights of convolutions and linear layers in int8
    peak_bytes     activation memory, batch 1, fp32
    latency_ms     time of one picture, on a device that the budget does not name; option `latency=2ms`
    """

    params: int | None = None
    macs: int | None = None
    weight_bytes: int | None = None
    int8_bytes: int | None = None
    peak_bytes: int | None = None
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        for unit, limit in self.limits().items():
            number = (int, float) if unit == "latency_ms" else int
            if not isinstance(limit, number) or isinstance(limit, bool):
                kind = "number" if unit == "latency_ms" else "whole number"
                raise BudgetError(f"{unit}={limit!r:.40}: a {kind} is needed; Budget.parse reads units")
            if unit != "latency_ms" and limit <= 0:
                raise BudgetError(f"{unit}={limit}: a limit must be at least 1")
            if unit == "latency_ms" and not 0 < limit < math.inf:  # nor NaN
                raise BudgetError(f"latency_ms={limit}: a time must be above 0, and finite")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `params=200k, macs=3M, latency=2ms`.

        Raises   BudgetError on an unknown or repeated unit, an unreadable number, or a count in bytes.
        """
        limits: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            unit, value = cls._limit(part)
            if unit in limits:
                raise BudgetError(f"'{unit}' is given twice")
            limits[unit] = value
        if not limits:
            raise BudgetError("the budget is empty; write at least one limit, as in params=200k")
        return cls(**limits)

    @classmethod
    def _limit(cls, text: str) -> tuple[str, float]:
        """Unit and value of `params=200k`, or of `latency=2ms`."""
        unit, equals, value = (piece.strip() for piece in text.partition("="))
        if not equals:
            raise BudgetError(f"{text!r:.60} is not a limit; write unit=number, as in params=200k")
        if "=" in value:
            raise BudgetError(f"{text!r:.60} holds two limits; put a comma between them")
        if unit == "latency":
            return "latency_ms", milliseconds(value)
        if unit not in cls.units():
            hint = closest(unit, cls.units())
            raise BudgetError(f"no unit {unit!r:.40}; {hint}limits are {', '.join(cls.units())}")
        if unit == "latency_ms":
            return unit, milliseconds(f"{value}ms" if value[-1:].isdigit() else value)
        if value[-1:] in ("b", "B") and not unit.endswith("_bytes"):
            raise BudgetError(f"{text!r:.60} is a size in bytes, but {unit} are a count; leave out the B")
        return unit, quantity(value)

    @classmethod
    def units(cls) -> tuple[str, ...]:
        """Names of the units a budget may limit."""
        return tuple(field.name for field in dataclasses.fields(cls))

    def limits(self) -> dict[str, float]:
        """The limits that are set, by unit."""
        values = ((unit, getattr(self, unit)) for unit in self.units())
        return {unit: value for unit, value in values if value is not None}

    def excesses(self, costs: Mapping[str, float]) -> list[Excess]:
        """Limits that `costs` (unit -> value) breaks, worst first."""
        broken = [
            Excess(unit, costs[unit], limit) for unit, limit in self.limits().items() if costs[unit] > limit
        ]
        return sorted(broken, key=lambda excess: excess.limit / excess.value)

    def __str__(self) -> str:
        return ", ".join(quoted(unit, limit) for unit, limit in self.limits().items())


def closest(name: str, known: Iterable[str]) -> str:
    """`did you mean …? ` for the nearest of the known names, or nothing where none is near."""
    import difflib  # for mistakes only: it would be a part of every start

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""
