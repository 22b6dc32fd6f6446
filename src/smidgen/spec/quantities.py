"""Numbers with a unit, as people write them."""

from __future__ import annotations

import re

from smidgen.spec.errors import BudgetError

__all__ = [
    "milliseconds",
    "quantity",
]


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
