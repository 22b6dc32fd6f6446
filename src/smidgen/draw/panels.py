"""Small line charts side by side, each with axes of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from smidgen.draw.svg import Canvas, clip
from smidgen.spec import SmidgenError

__all__ = ["Line", "Panel", "panels"]

_WIDTH, _HEIGHT = 250.0, 210.0  # of the plane between the axes
_LEFT, _TOP, _APART = 62.0, 76.0, 84.0
_TITLE, _LABEL, _TICK = 14.0, 11.5, 10.5
_COLOURS = 5
_KEY = 18.0  # height of a line of the key


class Line(NamedTuple):
    """One line of a chart: its name, and its points from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]


class Panel(NamedTuple):
    """One chart; `marks` are the places and texts of the axis across, `up` says what the other one has."""

    title: str
    subtitle: str
    across: str
    up: str
    marks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]


def panels(charts: Sequence[Panel], title: str) -> str:
    """Charts side by side as SVG; both axes are linear, and the one up begins at 0.

    Raises   SmidgenError without charts, marks or points, or where a value is out of range.
    """
    if not charts or not all(chart.marks and chart.lines for chart in charts):
        raise SmidgenError("no lines to draw; give each chart at least one line and one mark")
    for line in (line for chart in charts for line in chart.lines):
        if not line.points or not all(math.isfinite(x) and 0 <= y < math.inf for x, y in line.points):
            raise SmidgenError(f"{line.name}: its points cannot be drawn; finite ones from 0 up are needed")
    canvas = Canvas()
    for index, chart in enumerate(charts):
        _draw(canvas, chart, _LEFT + index * (_WIDTH + _APART))
    rows = max(len(chart.lines) for chart in charts)
    right = _LEFT + len(charts) * (_WIDTH + _APART) - _APART
    return canvas.finish(right + 26, _TOP + _HEIGHT + 62 + rows * _KEY, title)


def _draw(canvas: Canvas, chart: Panel, left: float) -> None:
    canvas.text(left, 26, clip(chart.title, _WIDTH + 40, _TITLE, bold=True), "ink", _TITLE, bold=True)
    canvas.text(left, 46, clip(chart.subtitle, _WIDTH + 40, _LABEL), "muted", _LABEL)
    step = _step(max(y for line in chart.lines for _, y in line.points))
    top = step * math.ceil(max(y for line in chart.lines for _, y in line.points) / step)
    places = [x for line in chart.lines for x, _ in line.points] + [x for x, _ in chart.marks]
    low, high = min(places), max(max(places), min(places) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + _WIDTH * (x - low) / (high - low), _TOP + _HEIGHT * (1 - y / top)

    _draw_axes(canvas, chart, left, step, top)
    for x, text in chart.marks:
        at = place(x, 0)[0]
        canvas.polyline([(at, _TOP + _HEIGHT), (at, _TOP + _HEIGHT + 4)], "wire")
        canvas.text(at, _TOP + _HEIGHT + 15, text, "muted", _TICK, "middle")
    for index, line in enumerate(chart.lines):
        points = [place(x, y) for x, y in line.points]
        canvas.polyline(points, f"series-{index % _COLOURS}")
        for point in points:
            canvas.circle(*point, 3, f"dot-{index % _COLOURS}")
        y = _TOP + _HEIGHT + 62 + index * _KEY
        canvas.polyline([(left, y), (left + 18, y)], f"series-{index % _COLOURS}")
        canvas.circle(left + 9, y, 3, f"dot-{index % _COLOURS}")
        canvas.text(left + 26, y, clip(line.name, _WIDTH + 20, _LABEL), "ink", _LABEL)


def _draw_axes(canvas: Canvas, chart: Panel, left: float, step: float, top: float) -> None:
    for index in range(round(top / step) + 1):
        y = _TOP + _HEIGHT * (1 - index * step / top)
        canvas.polyline([(left, y), (left + _WIDTH, y)], "wire" if index == 0 else "hair")
        canvas.text(left - 8, y, f"{index * step:.4g}", "muted", _TICK, "end")
    canvas.text(left + _WIDTH / 2, _TOP + _HEIGHT + 36, chart.across, "ink", _LABEL, "middle")
    canvas.text_upwards(left - 44, _TOP + _HEIGHT / 2, chart.up, "ink", _LABEL)


def _step(highest: float) -> float:
    """A round distance that makes three to seven steps up to `highest`."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * part for part in (0.2, 0.5, 1.0, 2.0) if highest / (power * part) <= 6)
