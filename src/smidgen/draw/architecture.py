"""A whole network from the picture down to the classes, with what each stage costs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smidgen.draw import boxes
from smidgen.draw.blocks import Block, BlockRow, rows
from smidgen.draw.boxes import CARD
from smidgen.draw.cut import blocks
from smidgen.draw.svg import Canvas, clip, text_width
from smidgen.draw.terms import compact, map_size
from smidgen.graph.network import Network
from smidgen.spec import Shape, counted

__all__ = ["architecture"]

_MARGIN = 24.0
_GAP = 22.0  # between boxes
_STEP = 16.0  # more of it where the map changes
_CLEAR = 8.0  # still more of it after an arc, so that two in a row stay apart
_TEXT = 12.0
_NARROWEST, _WIDEST = 210.0, 420.0
_FUNNEL = 120.0  # by how much the box on the largest map is wider than that on the smallest
_BAR = 88.0
_COLUMN = 24.0


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns begin, from left to right; boxes stand around `centre`."""

    centre: float
    narrow: float
    out: float
    params: float
    macs: float
    right: float


def architecture(network: Network) -> str:
    """Drawing of `network` as SVG: its stages in order, output shapes, and their parameters and MACs.

    Like blocks fold into one box (×4); boxes narrow and a rule crosses where the map shrinks; dropped
    strides are noted. Equal networks give equal bytes.
    """
    found = rows(tuple(_noted(block, network) for block in blocks(network.tree, network.input)))
    columns = _columns(found)
    canvas = Canvas()
    y = _draw_head(canvas, network, columns)
    y = _draw_rows(canvas, network.input, found, columns, y)
    y = _draw_total(canvas, found, columns, y)
    return canvas.finish(columns.right + _MARGIN, y + _MARGIN, f"Architecture of {network.name}")


def _noted(block: Block, network: Network) -> Block:
    """An identity that stands where a stride was dropped says so."""
    if block.kind == "ghost" and network.dropped_strides:
        return dataclasses.replace(block, details=("stride dropped",))
    return block


# ── layout ───────────────────────────────────────────────────────────────────────────────────────


def _columns(found: Sequence[BlockRow]) -> _Columns:
    natural = max((boxes.natural_width(row) for row in found), default=0)
    narrow = min(max(natural, _NARROWEST), _WIDEST)
    labels = max((text_width(map_size(row.out), _TEXT, bold=True) for row in found), default=0)
    left = _MARGIN + max(labels, text_width("vector", _TEXT, bold=True)) + _COLUMN
    centre = left + (narrow + _FUNNEL) / 2
    out = centre + (narrow + _FUNNEL) / 2 + 2 * CARD + 2 * _COLUMN
    shapes = max((text_width(str(row.out), _TEXT) for row in found), default=0)
    params = out + max(shapes, text_width("output", _TEXT)) + _COLUMN
    macs = params + _BAR + _COLUMN
    return _Columns(centre, narrow, out, params, macs, macs + _BAR)


def _box_width(columns: _Columns, shape: Shape, picture: Shape) -> float:
    """Width of a box on a map: proportional to the logarithm of the map's side."""
    side, full = max(shape.height, shape.width), max(picture.height, picture.width)
    share = math.log2(max(side, 1)) / math.log2(full) if full > 1 else 0.0
    return columns.narrow + _FUNNEL * min(share, 1.0)


def _bands(found: Sequence[BlockRow]) -> Iterator[tuple[str, list[BlockRow]]]:
    """Rows grouped by the size of their output maps."""
    for label, group in itertools.groupby(found, lambda row: map_size(row.out) or "vector"):
        yield label, list(group)


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────


def _draw_head(canvas: Canvas, network: Network, columns: _Columns) -> float:
    """Name, totals and column heads; returns where the rows begin."""
    room = columns.right - _MARGIN
    total = network.cost()
    facts = (
        f"{total.params:,} parameters · {total.macs:,} MACs · "
        f"peak activations {compact(total.peak_bytes)}B · {network.num_classes:,} outputs"
    )
    canvas.text(_MARGIN, _MARGIN + 8, clip(network.name, room, 18, bold=True), "ink", 18, bold=True)
    canvas.text(_MARGIN, _MARGIN + 30, clip(facts, room, _TEXT), "muted", _TEXT)
    y = _MARGIN + 48
    if network.dropped_strides:
        note = f"{counted(network.dropped_strides, 'stride')} dropped, the first ones"
        canvas.text(_MARGIN, y, note, "macs-ink", _TEXT)
        y += 18
    y += 14
    for x, label in (
        (_MARGIN, "map"),
        (columns.out, "output"),
        (columns.params, "parameters"),
        (columns.macs, "MACs"),
    ):
        canvas.text(x, y, label, "muted", _TEXT)
    canvas.polyline([(_MARGIN, y + 13), (columns.right, y + 13)], "hair")
    return y + 26


def _draw_rows(
    canvas: Canvas, picture: Shape, found: Sequence[BlockRow], columns: _Columns, y: float
) -> float:
    canvas.text(_MARGIN, y + 10, map_size(picture), "ink", _TEXT, bold=True)
    canvas.text(columns.centre, y + 10, "input", "muted", _TEXT, "middle")
    canvas.text(columns.out, y + 10, str(picture), "ink", _TEXT)
    start = y + 21
    y += 21 + _GAP
    most_params, most_macs = (
        max((getattr(row, cost) for row in found), default=0) for cost in ("params", "macs")
    )
    size = map_size(picture)
    for label, band in _bands(found):
        if label != size:
            _draw_rule(canvas, columns, y - _GAP / 2 + _STEP / 2 - 1)
            y += _STEP
        for index, row in enumerate(band):
            width = _box_width(columns, row.out, picture)
            bottom = y + boxes.height(row) + boxes.cards(row) * CARD
            _draw_wire(canvas, row, columns.centre, start, y, width)
            boxes.draw_box(canvas, row, columns.centre, y, width)
            middle = y + boxes.height(row) / 2
            if index == 0 and label != size:
                canvas.text(_MARGIN, middle, label, "ink", _TEXT, bold=True)
            _draw_figures(canvas, row, columns, middle, most_params, most_macs)
            start, y = bottom, bottom + _GAP + (_CLEAR if boxes.skips(row) and len(row.blocks) == 1 else 0)
        size = label
    return y - _GAP


def _draw_wire(canvas: Canvas, row: BlockRow, centre: float, start: float, top: float, width: float) -> None:
    """Wire into the box, and the arc around it where something is carried past."""
    canvas.arrow([(centre, start), (centre, top)])
    if not boxes.skips(row):
        return
    lane = centre + width / 2 + boxes.cards(row) * CARD + 15
    if len(row.blocks) > 1:
        boxes.draw_loop(canvas, row, centre + width / 2, top, lane)
    else:
        boxes.draw_skip(canvas, centre, top - 14, top + boxes.height(row) + 9, lane)


def _draw_rule(canvas: Canvas, columns: _Columns, y: float) -> None:
    canvas.polyline([(_MARGIN, y), (columns.right, y)], "rule")


def _draw_figures(
    canvas: Canvas, row: BlockRow, columns: _Columns, y: float, most_params: int, most_macs: int
) -> None:
    """Output shape, and the two costs as number and bar."""
    canvas.text(columns.out, y, str(row.out), "ink", _TEXT)
    for x, value, most, paint in (
        (columns.params, row.params, most_params, "bar-params"),
        (columns.macs, row.macs, most_macs, "bar-macs"),
    ):
        if value == 0:
            canvas.text(x, y, "0", "muted", _TEXT)
            continue
        canvas.text(x, y - 6, compact(value), "ink", _TEXT)
        canvas.rect(x, y + 6, _BAR, 4, "track", 2)
        canvas.rect(x, y + 6, max(_BAR * value / most, 1.5), 4, paint, 2)


def _draw_total(canvas: Canvas, found: Sequence[BlockRow], columns: _Columns, y: float) -> float:
    y += 16
    canvas.polyline([(_MARGIN, y), (columns.right, y)], "hair")
    count = sum(len(row.blocks) for row in found)
    canvas.text(columns.out, y + 18, "total", "muted", _TEXT)
    canvas.text(columns.params, y + 18, compact(sum(row.params for row in found)), "ink", _TEXT, bold=True)
    canvas.text(columns.macs, y + 18, compact(sum(row.macs for row in found)), "ink", _TEXT, bold=True)
    note = f"{count} layers and blocks. MACs: convolutions and linear layers."
    canvas.text(_MARGIN, y + 18, clip(note, columns.out - _MARGIN - 12, 10.5), "muted", 10.5)
    return y + 24
