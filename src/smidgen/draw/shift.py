"""The shift operation on a small grid, beside spatial and depthwise convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from smidgen.draw.svg import Canvas
from smidgen.draw.terms import leaf_name
from smidgen.graph.nodes import Shift
from smidgen.spec import SmidgenError

__all__ = ["shift_operation"]

_MARGIN = 24.0
_CELL = 11.0
_DEPTH = 60.0  # how far the last channel of a stack stands behind the first
_PANEL = 210.0  # width of a column (a), (b), (c)
_KERNELS = 124.0  # side of the field that the kernels share
_UNROLLED = 480.0  # side of (d)
_TOP = 66.0
_MOST = 49  # directions that a picture can hold

_Offset = tuple[int, int]


class _Cells(NamedTuple):
    """A rectangle of square cells.

    x, y  of its corner
    side  of a cell
    """

    x: float
    y: float
    columns: int
    rows: int
    side: float


def shift_operation(shift: Shift | None = None, *, kernel: int = 3, size: int | None = None) -> str:
    """Drawing of spatial convolution, depthwise convolution and shift as SVG, and of every direction.

    shift    whose runs are drawn; default: one channel for each direction of a `kernel` x `kernel` window
    size     side of the map that is drawn; default: 5, or as many as the offsets need
    Raises   SmidgenError on an even kernel, or more directions than fit into a picture.
    Source   the comparison follows Wu et al. 2018, arXiv:1711.08141, Figures 1 and 2
    """
    groups = _groups(shift or _window(kernel))
    reach = max(max(abs(dy), abs(dx)) for dy, dx in groups)
    size = max(5, 2 * reach + 1) if size is None else size
    if not 1 <= size <= 15:
        raise SmidgenError(f"size={size}: a map of 1 to 15 cells can be drawn")
    named = leaf_name(shift or _window(kernel))
    canvas = Canvas()
    x = _MARGIN
    for panel in (_spatial, _depthwise, _shifted):
        panel(canvas, x, groups, size)
        x += _PANEL
    _unrolled(canvas, x + 10, groups, size, reach)
    side = x + 10 + _UNROLLED + _MARGIN
    return canvas.finish(
        side, _TOP + _UNROLLED + 8 + _MARGIN, f"Convolution, depthwise convolution and {named}"
    )


def _window(kernel: int) -> Shift:
    """A channel for every direction, the centre last."""
    if kernel < 1 or kernel % 2 == 0:
        raise SmidgenError(f"kernel={kernel}: a shift needs an odd one, such as 3")
    reach = range(-(kernel // 2), kernel // 2 + 1)
    offsets = [offset for offset in product(reach, reach) if offset != (0, 0)]
    return Shift(tuple((1, dy, dx) for dy, dx in [*offsets, (0, 0)]))


def _groups(shift: Shift) -> dict[_Offset, int]:
    """Channels by offset, in the order in which the offsets first come."""
    groups: dict[_Offset, int] = {}
    for count, dy, dx in shift.runs:
        groups[dy, dx] = groups.get((dy, dx), 0) + count
    if len(groups) > _MOST:
        raise SmidgenError(f"{len(groups)} directions do not fit into a picture; at most {_MOST} do")
    return groups


def _way(offset: _Offset) -> int:
    """Colour of a direction: the sector of the compass that the content moves to, 8 for the centre."""
    dy, dx = offset
    return 8 if dy == dx == 0 else round(math.atan2(-dy, -dx) / (math.pi / 4)) % 8


# ── the three operations ─────────────────────────────────────────────────────────────────────────


def _spatial(canvas: Canvas, x: float, groups: Mapping[_Offset, int], size: int) -> None:
    _frame(canvas, x, "(a) spatial convolution", "K²MN weights", "K²MNF² MACs", "N filters, K x K x M", "N")
    centre = x + _PANEL / 2 - 10
    _stack(canvas, centre, _TOP + 16, size, [(f"way-{_way(offset)}", (0, 0)) for offset in groups])
    window = 2 * max(max(abs(dy), abs(dx)) for dy, dx in groups) + 1
    layers, cell = min(len(groups), 9), 24 / window
    for index in range(4):
        left, top = centre - 62 + index % 2 * 70, _TOP + 226 + index // 2 * 66
        for layer in range(layers - 1, -1, -1):
            place = left + layer * 3.5, top - (layer - 2) * 3.5
            _grid(canvas, _Cells(*place, window, window, cell), "filter")
    _stack(canvas, centre, _TOP + 376, size, [("filter", (0, 0))] * 9)


def _depthwise(canvas: Canvas, x: float, groups: Mapping[_Offset, int], size: int) -> None:
    _frame(canvas, x, "(b) depthwise convolution", "K²M weights", "K²MF² MACs", "one K x K filter each", "M")
    centre = x + _PANEL / 2 - 10
    sheets = [(f"way-{_way(offset)}", (0, 0)) for offset in groups]
    _stack(canvas, centre, _TOP + 16, size, sheets)
    _kernels(canvas, centre, groups, one_hot=False)
    _stack(canvas, centre, _TOP + 376, size, sheets)


def _shifted(canvas: Canvas, x: float, groups: Mapping[_Offset, int], size: int) -> None:
    _frame(canvas, x, "(c) shift", "0 weights", "0 MACs", "one direction each", "M")
    centre = x + _PANEL / 2 - 10
    _stack(canvas, centre, _TOP + 16, size, [(f"way-{_way(offset)}", (0, 0)) for offset in groups])
    _kernels(canvas, centre, groups, one_hot=True)
    _stack(canvas, centre, _TOP + 376, size, [(f"way-{_way(offset)}", offset) for offset in groups])


def _frame(canvas: Canvas, x: float, title: str, weights: str, macs: str, filters: str, out: str) -> None:
    """Title, costs, and the wires between input, filters and output."""
    centre = x + _PANEL / 2 - 10
    canvas.text(x, _MARGIN + 8, title, "ink", 14, bold=True)
    canvas.text(x, _MARGIN + 29, f"{weights} · {macs}", "muted", 11.5)
    canvas.arrow([(centre, _TOP + 152), (centre, _TOP + 176)])
    canvas.text(centre - 10, _TOP + 163, "M channels", "muted", 10.5, "end")
    canvas.text(centre, _TOP + 187, filters, "muted", 10.5, "middle")
    canvas.text(centre - 10, _TOP + 353, f"{out} channels", "muted", 10.5, "end")
    canvas.arrow([(centre, _TOP + 342), (centre, _TOP + 366)])


def _stack(canvas: Canvas, centre: float, top: float, size: int, sheets: list[tuple[str, _Offset]]) -> None:
    """Channels of a map, the first in front; each is painted and moved against its offset."""
    cell = min(_CELL, 5 * _CELL / size)
    step = _DEPTH / max(len(sheets) - 1, 1)
    left = centre - (size * cell + _DEPTH) / 2
    for index in range(len(sheets) - 1, -1, -1):
        paint, offset = sheets[index]
        x, y = left + index * step, top + _DEPTH - index * step
        _moved(canvas, _Cells(x, y, size, size, cell), paint, offset)


def _moved(canvas: Canvas, cells: _Cells, paint: str, offset: _Offset) -> None:
    """One map whose content reads at `offset`, so that it lies moved the other way; the rest is empty."""
    (x, y, columns, rows, side), (dy, dx) = cells, offset
    canvas.rect(x, y, columns * side, rows * side, "sheet")
    columns, rows = columns - abs(dx), rows - abs(dy)
    if columns > 0 and rows > 0:
        _grid(canvas, _Cells(x + max(-dx, 0) * side, y + max(-dy, 0) * side, columns, rows, side), paint)


def _grid(canvas: Canvas, cells: _Cells, paint: str, lines: str = "grid") -> None:
    """Painted cells, and the lines between them."""
    x, y, columns, rows, side = cells
    canvas.rect(x, y, columns * side, rows * side, paint)
    for index in range(1, columns):
        canvas.polyline([(x + index * side, y), (x + index * side, y + rows * side)], lines)
    for index in range(1, rows):
        canvas.polyline([(x, y + index * side), (x + columns * side, y + index * side)], lines)


def _kernels(canvas: Canvas, centre: float, groups: Mapping[_Offset, int], one_hot: bool) -> None:
    """The filter of every group; of a shift, the one cell of it that is 1."""
    rows, columns, places = _arrange(groups)
    reach = max(max(abs(dy), abs(dx)) for dy, dx in groups)
    window = 2 * reach + 1
    pitch = _KERNELS / max(rows, columns)
    cell = pitch * 0.8 / window
    left, top = centre - columns * pitch / 2 + pitch * 0.1, _TOP + 204 + (_KERNELS - rows * pitch) / 2
    for (dy, dx), (row, column) in places.items():
        x, y = left + column * pitch, top + row * pitch
        cells, paint = _Cells(x, y, window, window, cell), f"way-{_way((dy, dx))}"
        if not one_hot:
            _grid(canvas, cells, paint)
            continue
        _grid(canvas, cells, "sheet", lines="hair")
        canvas.rect(x + (dx + reach) * cell, y + (dy + reach) * cell, cell, cell, paint)


def _arrange(groups: Mapping[_Offset, int]) -> tuple[int, int, dict[_Offset, _Offset]]:
    """Rows, columns, and each offset's place: where it lies in the window, or in order where it is ragged."""
    vertical, horizontal = sorted({dy for dy, _ in groups}), sorted({dx for _, dx in groups})
    if max(len(vertical), len(horizontal)) <= 7:
        places = {(dy, dx): (vertical.index(dy), horizontal.index(dx)) for dy, dx in groups}
        return len(vertical), len(horizontal), places
    columns = math.ceil(math.sqrt(len(groups)))
    return columns, columns, {offset: divmod(index, columns) for index, offset in enumerate(groups)}


# ── every direction ──────────────────────────────────────────────────────────────────────────────


def _unrolled(canvas: Canvas, x: float, groups: Mapping[_Offset, int], size: int, reach: int) -> None:
    """(d): the map of every group after its move, zeros where nothing came in, dashes where it fell out."""
    canvas.text(x, _MARGIN + 8, "(d) each group reads one neighbour", "ink", 14, bold=True)
    canvas.text(x, _MARGIN + 29, "y[h, w] = x[h + dy, w + dx], zero outside", "muted", 11.5)
    rows, columns, places = _arrange(groups)
    pitch = _UNROLLED / max(rows, columns)
    cell = min((pitch - 26) / (size + 2 * reach), 16.0)
    for offset, (row, column) in places.items():
        centre = x + (column + 0.5) * pitch
        top = _TOP + 8 + row * pitch
        span = (size + 2 * reach) * cell
        _direction(canvas, _Cells(centre - size * cell / 2, top + reach * cell, size, size, cell), offset)
        count = groups[offset]
        label = f"({offset[0]}, {offset[1]})"
        if count > 1:
            label += f" · {count} channels" if pitch > 120 else f" · {count}"
        canvas.text(centre, top + span + 9, label, "muted", 10 if pitch > 80 else 8, "middle")


def _direction(canvas: Canvas, cells: _Cells, offset: _Offset) -> None:
    (x, y, size, _, cell), (dy, dx) = cells, offset
    way = _way(offset)
    for row, column in product(range(size), range(size)):
        to_row, to_column = row - dy, column - dx
        if not (0 <= to_row < size and 0 <= to_column < size):
            canvas.rect(x + to_column * cell, y + to_row * cell, cell, cell, f"lost-{way}")
    _moved(canvas, cells, f"way-{way}", offset)
    for row, column in product(range(size), range(size)):
        if not (0 <= row + dy < size and 0 <= column + dx < size) and cell >= 9:
            canvas.text(
                x + (column + 0.5) * cell, y + (row + 0.5) * cell, "0", "muted", cell * 0.62, "middle"
            )
    middle = size // 2
    start = (x + (middle + 0.5) * cell, y + (middle + 0.5) * cell)
    canvas.rect(x, y, size * cell, size * cell, "frame")
    if offset == (0, 0):
        canvas.circle(*start, cell * 0.22, "paper")
    else:
        canvas.arrow([start, (start[0] - dx * cell, start[1] - dy * cell)], "move", "paper", size=cell * 0.28)
