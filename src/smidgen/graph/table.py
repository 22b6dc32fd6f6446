"""The parameter table as plain text, in the format of PrettyTable."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["parameter_table"]

_TITLES = ("Modules", "Parameters")


def parameter_table(rows: Iterable[tuple[str, int]]) -> str:
    """Draw one row per parameter tensor, cells centred, and the total below.

    rows     (name, number of values), in order
    returns  lines without a newline at the end; the last is `Total Trainable Params: N`
    """
    rows = list(rows)
    cells = [(name, str(number)) for name, number in rows]
    widths = [max(map(len, column)) for column in zip(_TITLES, *cells, strict=True)]
    rule = "+".join(["", *("-" * (width + 2) for width in widths), ""])
    lines = [_line(row, widths) for row in (_TITLES, *cells)]
    total = sum(number for _, number in rows)
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, f"Total Trainable Params: {total}"])


def _line(cells: tuple[str, str], widths: list[int]) -> str:
    # str.center and PrettyTable give an odd blank to the same side.
    centred = (f" {cell.center(width)} " for cell, width in zip(cells, widths, strict=True))
    return "|".join(["", *centred, ""])
