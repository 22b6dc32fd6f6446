"""Several networks side by side, row by row, with what runs past each block drawn as an arc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.draw import boxes
from smidgen.draw.blocks import BlockRow, rows
from smidgen.draw.cut import blocks
from smidgen.draw.svg import Canvas, clip, text_width
from smidgen.draw.terms import compact, map_size
from smidgen.graph.network import Network
from smidgen.spec import Shape, SmidgenError

__all__ = ["compare"]

_MARGIN = 24.0
_GAP, _MERGE = 24.0, 16.0  # between boxes, and more of it where an arc ends
_LANE = 22.0  # from a box to its arc
_APART = 34.0  # between networks
_MOST = 24  # blocks that stand one by one; longer networks fold by stage
_TOP = 62.0


@dataclass(frozen=True, slots=True)
class _Column:
    network: Network
    found: tuple[BlockRow, ...]


def compare(networks: Sequence[Network]) -> str:
    """Drawing of `networks` as columns of SVG, aligned where they have the same number of rows.

    Raises   SmidgenError without networks.
    """
    if not networks:
        raise SmidgenError("no networks to compare; give at least one")
    columns = [_Column(network, _rows(network)) for network in networks]
    box = max((boxes.natural_width(row) for column in columns for row in column.found), default=120)
    names = max(text_width(network.name, 14, bold=True) for network in networks)
    room = min(max(box + 2 * boxes.CARD + _LANE + 10, names), 420)
    box = min(box, room - 2 * boxes.CARD - _LANE - 10)
    places = _places([column.found for column in columns])
    canvas = Canvas()
    for index, (column, tops) in enumerate(zip(columns, places, strict=True)):
        left = _MARGIN + index * (room + _APART)
        _draw_column(canvas, column, tops, left, box, room)
    bottom = max(max(tops) for tops in places) + 34
    names_read = ", ".join(network.name for network in networks)
    width = 2 * _MARGIN + len(columns) * room + (len(columns) - 1) * _APART
    return canvas.finish(width, bottom + _MARGIN, f"Architectures of {names_read}")


def _rows(network: Network) -> tuple[BlockRow, ...]:
    found = blocks(network.tree, network.input)
    return rows(found, whole_stages=len(found) > _MOST)


# ── places ───────────────────────────────────────────────────────────────────────────────────────


def _places(columns: list[tuple[BlockRow, ...]]) -> list[list[float]]:
    """Top of every row, and last the end of the column; shared by columns of equal length."""
    if len({len(found) for found in columns}) == 1:
        return [_tops(list(zip(*columns, strict=True)))] * len(columns)
    return [_tops([(row,) for row in found]) for found in columns]


def _tops(levels: Sequence[tuple[BlockRow, ...]]) -> list[float]:
    y = _MARGIN + _TOP + _GAP + 10
    tops = []
    for level in levels:
        tops.append(y)
        y += max(boxes.height(row) + boxes.cards(row) * boxes.CARD for row in level) + _GAP
        y += _MERGE if any(_arcs(row) for row in level) else 0
    return [*tops, y]


def _arcs(row: BlockRow) -> bool:
    """Whether the row's arc leads from wire to wire."""
    return boxes.skips(row) and len(row.blocks) == 1


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────


def _draw_column(
    canvas: Canvas, column: _Column, tops: list[float], left: float, box: float, room: float
) -> None:
    network, centre = column.network, left + box / 2
    total = network.cost()
    canvas.text(left, _MARGIN + 8, clip(network.name, room, 14, bold=True), "ink", 14, bold=True)
    facts = f"{compact(total.params)} parameters · {compact(total.macs)} MACs"
    canvas.text(left, _MARGIN + 28, clip(facts, room, 11), "muted", 11)
    y = _MARGIN + _TOP
    canvas.text(centre, y, f"input {network.input}", "muted", 11, "middle")
    y += 10
    for row, top, following in zip(column.found, tops, tops[1:], strict=False):
        canvas.arrow([(centre, y), (centre, top)])
        boxes.draw_box(canvas, row, centre, top, box)
        y = _draw_past(canvas, row, centre, top, box)
        if row.out != row.first.x and map_size(row.out) != map_size(row.first.x):
            last = following == tops[-1] and top == tops[-2]
            canvas.text(centre - 8, following - 12 - 6 * last, map_size(row.out), "muted", 10.5, "end")
    canvas.arrow([(centre, y), (centre, tops[-1])])
    end = column.found[-1].out if column.found else network.input
    canvas.text(centre, tops[-1] + 11, _output(end), "muted", 11, "middle")


def _output(shape: Shape) -> str:
    return f"output {shape}"


def _draw_past(canvas: Canvas, row: BlockRow, centre: float, top: float, box: float) -> float:
    """Arc past the row, if any; returns where the wire goes on."""
    bottom = top + boxes.height(row)
    if not _arcs(row):
        if boxes.skips(row):
            boxes.draw_loop(canvas, row, centre + box / 2, top, centre + box / 2 + 2 * boxes.CARD + 14)
        return bottom + boxes.cards(row) * boxes.CARD
    merge = bottom + 15
    canvas.polyline([(centre, bottom), (centre, merge)], "wire")
    skip = row.first.skip
    label = "" if skip == "skip" else "pool" if skip.endswith("pool") else skip.split(" ")[0]
    boxes.draw_skip(canvas, centre, top - 14, merge, centre + box / 2 + _LANE - 4, label, end=6)
    boxes.draw_merge(canvas, centre, merge, summed=not skip.startswith("concat"))
    return merge + 6
