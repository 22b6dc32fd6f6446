"""Points of (parameters, accuracy) on a logarithmic axis, joined by series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from smidgen.draw.svg import Anchor, Canvas, clip, text_width
from smidgen.spec import SmidgenError

__all__ = ["Point", "scatter"]

_WIDTH, _HEIGHT = 640.0, 420.0  # of the plane between the axes
_LEFT, _TOP, _BOTTOM, _RIGHT = 74.0, 58.0, 62.0, 28.0
_LABEL, _TICK = 11.5, 11.0
_COLOURS = 5


class Point(NamedTuple):
    """One network: parameters as a count, top-1 accuracy in percent, and the line that it lies on."""

    name: str
    params: float
    top1: float
    series: str = ""


class _Axis(NamedTuple):
    low: float
    high: float

    def share(self, value: float) -> float:
        """Place of `value` between the ends of the axis."""
        return (value - self.low) / (self.high - self.low)


class _Box(NamedTuple):
    """Rectangle that a label or a dot covers."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def scatter(points: Sequence[Point], title: str = "Parameters and ImageNet top-1 accuracy") -> str:
    """Chart of `points` as SVG: millions of parameters (logarithmic) against top-1 accuracy in percent.

    Points of one series are joined in order of their parameters; every point carries its name.
    Raises   SmidgenError without points, or where a value is out of range.
    """
    if not points:
        raise SmidgenError("no points to draw; give at least one")
    for point in points:
        if not (0 < point.params < math.inf and 0 <= point.top1 <= 100):
            raise SmidgenError(f"{point.name}: params={point.params} and top1={point.top1} cannot be drawn")
    across, up = _log_axis([point.params / 1e6 for point in points]), _axis([point.top1 for point in points])
    canvas = Canvas()
    canvas.text(_LEFT, 30, clip(title, _WIDTH, 15, bold=True), "ink", 15, bold=True)
    _draw_axes(canvas, across, up)
    series = list(dict.fromkeys(point.series for point in points))
    places = [_place(point, across, up) for point in points]
    taken = [_Box(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for index, name in enumerate(series):
        line = sorted(place for point, place in zip(points, places, strict=True) if point.series == name)
        if len(line) > 1:
            canvas.polyline(line, f"series-{index % _COLOURS}")
        taken += _along(line)
    for point, place in zip(points, places, strict=True):
        canvas.circle(*place, 5, f"dot-{series.index(point.series) % _COLOURS}")
    taken += _draw_labels(canvas, points, places, taken)
    if len(series) > 1:
        _draw_key(canvas, series, taken)
    return canvas.finish(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM, title)


# ── axes ─────────────────────────────────────────────────────────────────────────────────────────


def _log_axis(values: Sequence[float]) -> _Axis:
    """Decades around the values, with a little room."""
    return _Axis(math.log10(min(values)) - 0.12, math.log10(max(values)) + 0.16)


def _axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    room = max((high - low) * 0.1, 0.5)
    return _Axis(low - room, high + room)


def _log_ticks(axis: _Axis) -> list[float]:
    """1, 2, 5 of every decade; only 1 where those would be many; halves where they are few."""
    decades = range(math.floor(axis.low), math.ceil(axis.high) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if axis.low <= math.log10(tick) <= axis.high]
        if len(ticks) >= 4:
            break
    return ticks


def _ticks(axis: _Axis) -> list[float]:
    """Four to ten round values."""
    step = 10 ** math.floor(math.log10(axis.high - axis.low))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1.0) if (axis.high - axis.low) / (step * part) <= 10)
    first = math.ceil(axis.low / step)
    return [index * step for index in range(first, math.floor(axis.high / step) + 1)]


def _place(point: Point, across: _Axis, up: _Axis) -> tuple[float, float]:
    x = _LEFT + _WIDTH * across.share(math.log10(point.params / 1e6))
    return x, _TOP + _HEIGHT * (1 - up.share(point.top1))


def _draw_axes(canvas: Canvas, across: _Axis, up: _Axis) -> None:
    bottom = _TOP + _HEIGHT
    for tick in _ticks(up):
        y = _TOP + _HEIGHT * (1 - up.share(tick))
        canvas.polyline([(_LEFT, y), (_LEFT + _WIDTH, y)], "hair")
        canvas.text(_LEFT - 10, y, f"{tick:.4g}", "muted", _TICK, "end")
    for tick in _log_ticks(across):
        x = _LEFT + _WIDTH * across.share(math.log10(tick))
        canvas.polyline([(x, bottom), (x, bottom + 5)], "wire")
        canvas.text(x, bottom + 16, f"{tick:.4g}", "muted", _TICK, "middle")
    canvas.polyline([(_LEFT, bottom), (_LEFT + _WIDTH, bottom)], "wire")
    canvas.text(_LEFT + _WIDTH / 2, bottom + 42, "parameters (millions, logarithmic)", "ink", 12, "middle")
    canvas.text_upwards(22, _TOP + _HEIGHT / 2, "ImageNet top-1 accuracy (%)", "ink", 12)


# ── labels ───────────────────────────────────────────────────────────────────────────────────────


def _draw_labels(
    canvas: Canvas, points: Sequence[Point], places: Sequence[tuple[float, float]], taken: Sequence[_Box]
) -> list[_Box]:
    """Name beside every point where little is taken; returns what the names cover."""
    covered: list[_Box] = []
    for point, (x, y) in zip(points, places, strict=True):
        name = clip(point.name, 180, _LABEL)
        wide = text_width(name, _LABEL)
        choices = [_label(x, y, wide, spot) for spot in _SPOTS]
        at_x, at_y, anchor, box = min(
            choices, key=lambda choice: _crowding(choice[3], [*taken, *covered, *covered])
        )
        canvas.text(at_x, at_y, name, "ink", _LABEL, anchor)
        covered.append(box)
    return covered


def _along(line: Sequence[tuple[float, float]]) -> list[_Box]:
    """Small boxes along a line, every few pixels."""
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(line):
        count = int(math.hypot(x1 - x0, y1 - y0) / 6) + 1
        for index in range(1, count):
            x, y = x0 + (x1 - x0) * index / count, y0 + (y1 - y0) * index / count
            boxes.append(_Box(x - 1.5, y - 1.5, x + 1.5, y + 1.5))
    return boxes


# Direction from the point, best first: below right keeps clear of a rising line.
_SPOTS = tuple(
    (dx, dy)
    for distance in (1.0, 2.2, 3.6)
    for dx, dy in (
        (9 * distance, 9 * distance),
        (-9 * distance, -9 * distance),
        (9, -11 * distance),
        (0, 15 * distance),
        (0, -15 * distance),
    )
)


def _label(x: float, y: float, wide: float, spot: tuple[float, float]) -> tuple[float, float, Anchor, _Box]:
    dx, dy = spot
    anchor: Anchor = "start" if dx > 0 else "end" if dx < 0 else "middle"
    left = x + dx - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return x + dx, y + dy, anchor, _Box(left, y + dy - 7, left + wide, y + dy + 7)


def _crowding(box: _Box, taken: Sequence[_Box]) -> int:
    """How many things the box would cover; the frame's edges count most."""
    outside = box.left < _LEFT or box.right > _LEFT + _WIDTH or box.top < _TOP or box.bottom > _TOP + _HEIGHT
    return sum(box.meets(other) for other in taken) + 100 * outside


def _draw_key(canvas: Canvas, series: Sequence[str], taken: Sequence[_Box]) -> None:
    """Names of the series, in the corner where they cover least."""
    names = [clip(name, 220, _LABEL) for name in series]
    wide, tall = max(text_width(name, _LABEL) for name in names) + 40, 18.0 * len(names) + 10
    right, bottom = _LEFT + _WIDTH - 10, _TOP + _HEIGHT - 10
    corners = [
        _Box(right - wide, bottom - tall, right, bottom),
        _Box(_LEFT + 10, _TOP + 6, _LEFT + 10 + wide, _TOP + 6 + tall),
        _Box(right - wide, _TOP + 6, right, _TOP + 6 + tall),
        _Box(_LEFT + 10, bottom - tall, _LEFT + 10 + wide, bottom),
    ]
    box = min(corners, key=lambda corner: _crowding(corner, taken))
    canvas.rect(box.left, box.top, wide, tall, "key", 5)
    for index, name in enumerate(names):
        y = box.top + 14 + 18 * index
        canvas.polyline([(box.left + 10, y), (box.left + 26, y)], f"series-{index % _COLOURS}")
        canvas.circle(box.left + 18, y, 4, f"dot-{index % _COLOURS}")
        canvas.text(box.left + 32, y, name, "ink", _LABEL)
