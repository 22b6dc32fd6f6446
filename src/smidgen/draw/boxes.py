"""How one row of an architecture looks: a box, a stack of cards where it repeats, an arc where it skips."""

from __future__ import annotations

from smidgen.draw.blocks import BlockRow
from smidgen.draw.svg import Canvas, clip, text_width

__all__ = [
    "CARD",
    "cards",
    "draw_box",
    "draw_loop",
    "draw_merge",
    "draw_skip",
    "height",
    "natural_width",
    "skips",
]

_BOX = 30.0  # height of a box with one line of text
_TALL = 42.0  # with two
CARD = 4.0  # by how much each card behind a repeated box peeks out
_TITLE, _DETAIL = 12.5, 10.5
_PAD = 14.0


def height(row: BlockRow) -> float:
    """Height of the row's box, its cards left out."""
    return _TALL if row.details() else _BOX


def natural_width(row: BlockRow) -> float:
    """Width that holds the row's text."""
    title = text_width(row.title(), _TITLE, bold=True) + _times_width(row)
    return max(title, text_width(row.details(), _DETAIL)) + 2 * _PAD


def cards(row: BlockRow) -> int:
    """Cards behind the box: none, one, or two."""
    return min(len(row.blocks) - 1, 2)


def skips(row: BlockRow) -> bool:
    """Whether something joins the main branch again after any of the row's blocks."""
    return any(block.skip for block in row.blocks)


def draw_box(canvas: Canvas, row: BlockRow, centre: float, top: float, width: float) -> None:
    """Box of `row` around `centre`, with its text; what does not fit is cut."""
    tall = height(row)
    left = centre - width / 2
    kind = row.first.kind
    canvas.open(_tooltip(row))
    for card in range(cards(row), 0, -1):
        canvas.rect(left + card * CARD, top + card * CARD, width, tall, kind, 5)
    canvas.rect(left, top, width, tall, kind, 5)
    _draw_text(canvas, row, centre, top, width)
    canvas.close()


def draw_skip(
    canvas: Canvas, centre: float, above: float, below: float, lane: float, label: str = "", end: float = 0
) -> None:
    """Arc from the wire at `above` to that at `below` by way of x = `lane`; a pill names what it does."""
    arc = [(centre, above), (lane, above), (lane, below), (centre + end, below)]
    canvas.arrow(arc, "skip", "skip-tip", radius=8, size=3.5)
    canvas.circle(centre, above, 2.2, "skip-tip")
    if label:
        wide = text_width(label, _DETAIL) + 12
        middle = (above + below) / 2
        canvas.rect(lane - 9, middle - wide / 2, 18, wide, "conv", 4)
        canvas.text_upwards(lane, middle, label, "ink", _DETAIL)


def draw_loop(canvas: Canvas, row: BlockRow, right: float, top: float, lane: float) -> None:
    """Arc beside a repeated box: each of its blocks carries its input past."""
    edge = right + cards(row) * CARD
    out, back = top + 11, top + height(row) - 5
    canvas.arrow(
        [(right, out), (lane, out), (lane, back), (edge + 1, back)], "skip", "skip-tip", radius=7, size=3.5
    )


def draw_merge(canvas: Canvas, x: float, y: float, summed: bool) -> None:
    """Circle where two wires meet: a plus for their sum, a c for one beside the other."""
    canvas.circle(x, y, 6, "node")
    if not summed:
        canvas.text(x, y, "c", "skip-ink", 9, "middle", bold=True)
        return
    canvas.polyline([(x - 3, y), (x + 3, y)], "skip")
    canvas.polyline([(x, y - 3), (x, y + 3)], "skip")


def _draw_text(canvas: Canvas, row: BlockRow, centre: float, top: float, width: float) -> None:
    middle = top + height(row) / 2
    room = width - _PAD - _times_width(row)
    title = clip(row.title(), room, _TITLE, bold=True)
    details = clip(row.details(), width - _PAD, _DETAIL)
    line = middle - 7.5 if details else middle
    span = text_width(title, _TITLE, bold=True) + _times_width(row)
    left = centre - span / 2
    paint = "muted" if row.first.kind == "ghost" else "ink"
    canvas.text(left, line, title, paint, _TITLE, bold=paint == "ink")
    if len(row.blocks) > 1:
        canvas.text(left + span, line, f"×{len(row.blocks)}", "skip-ink", _TITLE, "end", bold=True)
    canvas.text(centre, middle + 9, details, "muted", _DETAIL, "middle")


def _times_width(row: BlockRow) -> float:
    return 8 + text_width(f"×{len(row.blocks)}", _TITLE, bold=True) if len(row.blocks) > 1 else 0.0


def _tooltip(row: BlockRow) -> str:
    return f"{row.path}: {row.params:,} parameters, {row.macs:,} MACs, output {row.out}"
