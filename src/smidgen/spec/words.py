"""Numbers and names in sentences."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "about",
    "closest",
    "counted",
    "first",
    "shown",
]


def shown(value: float) -> str:
    """A count in full; a time in four digits, or in whole milliseconds."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write `1 epoch`, `60 epochs`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def first(count: int, noun: str) -> str:
    """Write `the first stride`, `the first 2 strides`."""
    return f"the first {noun}" if count == 1 else f"the first {counted(count, noun)}"


def about(seconds: float) -> str:
    """A time that is only known roughly: `40 s`, `6 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(1, 5 * round(seconds / 5) if seconds > 20 else round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def closest(name: str, known: Iterable[str]) -> str:
    """`did you mean …? ` for the nearest of the known names, or nothing where none is near."""
    import difflib  # for mistakes only: it would be a part of every start

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""
