"""Numbers as a person reads them; what was not measured is a dash."""

from __future__ import annotations

import math
from typing import assert_never

from smidgen.spec import UNITS, Number

__all__ = [
    "DASH",
    "amount",
    "amounts",
    "compact",
    "count",
    "decimal",
    "duration",
    "percent",
    "percents",
    "plain",
    "title",
]

DASH = "–"
_NARROW = "\u202f"  # a narrow space that does not break, between a number and its unit

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def plain(text: str) -> str:
    """Text for a terminal, whose font may lack the narrow space."""
    return text.replace(_NARROW, " ")


def count(number: int | None) -> str:
    """Write 28412 as `28,412`."""
    return DASH if number is None else f"{number:,}"


def decimal(number: float | None, digits: int = 2) -> str:
    """Write a number with so many digits after the point."""
    return DASH if number is None or not math.isfinite(number) else f"{number:,.{digits}f}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Write 0.989 as `98.9 %`; only a whole is 100 % and only nothing is 0 %."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    return f"{_share(fraction, digits)}{_NARROW}%"


def percents(low: float, high: float, digits: int = 1) -> str:
    """Write a range as `96.8 to 99.6 %`."""
    return f"{_share(low, digits)} to {_share(high, digits)}{_NARROW}%"


def _share(fraction: float, digits: int) -> str:
    for places in range(digits, digits + 4):
        text = f"{100 * fraction:.{places}f}"
        if float(text) not in (0.0, 100.0):
            return text
    return f"{round(100 * fraction)}"


def compact(number: float, gap: str = _NARROW) -> str:
    """Write 2134000 as `2.13 M`, to three digits."""
    for factor, prefix in _PREFIXES:
        if float(f"{number:.3g}") >= factor:
            return f"{float(f'{number / factor:.3g}'):g}{gap}{prefix}"
    return f"{float(f'{number:.3g}'):g}"


def title(unit: str) -> str:
    """What a unit is called over its values; one that only a newer version knows keeps its name."""
    return UNITS[unit].title if unit in UNITS else unit


def _kind(unit: str) -> Number:
    return UNITS[unit].number if unit in UNITS else Number.COUNT


def amount(unit: str, number: float | None) -> str:
    """Write a cost in its own unit: `28,412`, `2.13 M`, `38.2 KB`, `1.4 ms`."""
    if number is None:
        return DASH
    match _kind(unit):
        case Number.BYTES:
            return f"{compact(number).upper()}B" if number >= 1000 else f"{number:g}{_NARROW}B"
        case Number.TIME:
            return f"{number:.3g}{_NARROW}ms"
        case Number.COUNT:
            return count(round(number)) if number < 1_000_000 else compact(number)
        case strange:
            assert_never(strange)


def amounts(unit: str, used: float | None, limit: float) -> tuple[str, str]:
    """A cost and its limit; in full where three digits would not tell them apart."""
    told, allowed = amount(unit, used), amount(unit, limit)
    if used is None or used == limit or told != allowed:
        return told, allowed
    tail = {Number.TIME: "ms", Number.BYTES: "B", Number.COUNT: ""}[_kind(unit)]
    full = (f"{number:,.7g}" if tail == "ms" else f"{number:,.0f}" for number in (used, limit))
    first, second = (f"{number}{_NARROW}{tail}" if tail else number for number in full)
    return first, second


def duration(seconds: float | None) -> str:
    """Write 95.2 as `1 min 35 s`."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.3g}{_NARROW}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_NARROW}min {rest}{_NARROW}s"
    return f"{minutes // 60}{_NARROW}h {minutes % 60}{_NARROW}min"
