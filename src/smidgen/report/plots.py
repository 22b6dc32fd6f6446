"""The drawings of a report, as SVG text that follows the page's colours.

Every function draws on a figure of its own; only matplotlib's settings are global, while it draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smidgen.report import formats
from smidgen.report.schema import Candidate, CurveRow
from smidgen.report.svg import ACCENT, INK, MUTED, PAPER, RULE, WARM, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Unit", "candidates", "confusion", "curve"]

_NUMBERED = 20  # with more classes a matrix becomes a picture without numbers
_NAMED = 8  # of more candidates only the chosen one and the best of each family are named
_MARKERS = "osD^vP"
_STEPS = (1, 2, 2.5, 5, 10)  # between ticks, times a power of ten
_LINE = 13  # pixels from one line of small text to the next


Unit = Literal["params", "macs", "peak_bytes"]


class _Box(NamedTuple):
    """Where a line of text or a mark stands, in pixels; `height` is its middle."""

    left: float
    right: float
    height: float

    def touches(self, other: _Box) -> bool:
        apart = self.right < other.left or other.right < self.left
        return not apart and abs(self.height - other.height) < _LINE - 2


class _Point(NamedTuple):
    """A candidate whose cost and accuracy are known."""

    cost: float
    accuracy: float
    name: str
    family: str
    chosen: bool


class _Line(NamedTuple):
    label: str
    colour: str
    points: list[tuple[float, float]]


def curve(rows: Sequence[CurveRow], what: Literal["loss", "accuracy"]) -> str:
    """Draw training and validation loss, or accuracy, against the epoch."""
    kinds = (("training", f"train_{what}", MUTED), ("validation", f"val_{what}", ACCENT))
    lines = [_Line(label, colour, _points(rows, key)) for label, key, colour in kinds]

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = _axes(figure, left=40, right=64, bottom=36, top=10)
        for line in lines:
            if line.points:
                _trace(axes, line, mark=len(line.points) == 1)
        axes.set_xlabel("epoch", color=MUTED, fontsize=10)
        axes.set_xlim(0, max([2, *(epoch for line in lines for epoch, _ in line.points)]))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        if what == "accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
            axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
        else:
            axes.set_ylim(bottom=0)
        _name_ends(axes, [line for line in lines if line.points])

    return draw(372, 230, paint, prefix=f"curve-{what}", title=f"{what} of training and validation by epoch")


def _points(rows: Sequence[CurveRow], key: str) -> list[tuple[float, float]]:
    values: list[tuple[float, Any]] = [(row["epoch"], row.get(key)) for row in rows]
    return [(epoch, value) for epoch, value in values if value is not None and math.isfinite(value)]


def _trace(axes: Axes, line: _Line, *, mark: bool) -> None:
    x, y = zip(*line.points, strict=True)
    axes.plot(x, y, color=line.colour, linewidth=1.6, marker="o" if mark else "", markersize=5, clip_on=False)


def _name_ends(axes: Axes, lines: Sequence[_Line]) -> None:
    """Write each line's name where it ends; two that meet are moved apart, the higher one up."""
    ends = sorted(((line.points[-1], line) for line in lines), key=lambda end: end[0][1])
    heights = [float(axes.transData.transform(point)[1]) for point, _ in ends]
    lack = _LINE - (heights[1] - heights[0]) if len(heights) == 2 else 0
    for rank, (point, line) in enumerate(ends):
        nudge = max(0.0, lack) / 2 * (1 if rank else -1)
        axes.annotate(
            line.label,
            point,
            (6, nudge),
            textcoords="offset points",
            color=line.colour,
            va="center",
            fontsize=10,
        )


def confusion(matrix: ArrayLike, classes: Sequence[str]) -> str:
    """Draw a confusion matrix: rows are the true classes, shades the share of the row.

    matrix  int[K, K]; up to `_NUMBERED` classes the counts are written, beyond that it is a picture
    """
    counts = np.asarray(matrix, np.int64)
    names = [_short(name) for name in classes]
    numbered = len(names) <= _NUMBERED
    margin = 36 + 5 * max(map(len, names), default=1) if numbered else 40
    side = max(220, min(40 * len(names), 460)) if numbered else 420

    def paint(figure: Figure) -> None:
        axes = _axes(figure, left=margin, right=4, bottom=6, top=margin)
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        axes.xaxis.set_ticks_position("top")
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("called", color=MUTED, fontsize=10, loc="left", labelpad=8)
        figure.text(0, 1 - (margin - 7) / (side + margin + 6), "true", color=MUTED, fontsize=10)
        axes.tick_params(length=0)
        if numbered:
            _cells(axes, counts)
            slanted = max(map(len, names), default=1) > 3
            axes.set_xticks(range(len(names)), names, rotation=90 if slanted else 0)
            axes.set_yticks(range(len(names)), names)
        else:
            axes.set(xticks=[], yticks=[])
            axes.imshow(_tinted(counts), interpolation="none", aspect="auto")

    return draw(side + margin + 4, side + margin + 6, paint, prefix="confusion", title="confusion matrix")


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = counts / np.maximum(rows, 1)
    return shares


def _strength(share: float, right: bool) -> float:
    """Opacity of a cell; rare mistakes still show, and ink on top stays readable."""
    return 0.06 + 0.34 * share if right else 0.14 + 0.56 * math.sqrt(share)


def _cells(axes: Axes, counts: NDArray[np.int64]) -> None:
    from matplotlib.patches import Rectangle

    shares = _shares(counts)
    for row, column in np.ndindex(counts.shape):
        right, some = row == column, counts[row, column] > 0
        colour = (ACCENT if right else WARM) if some else RULE
        alpha = _strength(float(shares[row, column]), right) if some else 0.28
        corner = (column - 0.47, row - 0.47)
        axes.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=colour, alpha=alpha, linewidth=0))
        if some:
            axes.text(
                column, row, f"{counts[row, column]}", color=INK, ha="center", va="center", fontsize=10.5
            )


def _tinted(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the matrix as RGBA; a picture cannot ask the page for colours, so its hues suit both themes."""
    strength = np.sqrt(_shares(counts))
    picture = np.empty((*counts.shape, 4))
    picture[..., :3] = np.array([0.82, 0.42, 0.26])
    diagonal = np.arange(len(counts))
    picture[diagonal, diagonal, :3] = np.array([0.23, 0.52, 0.66])
    picture[..., 3] = np.where(counts > 0, 0.15 + 0.85 * strength, 0.04)
    return picture


def candidates(
    rows: Sequence[Candidate],
    limit: float | None = None,
    unit: Unit = "params",
) -> str:
    """Draw validation accuracy against cost, logarithmic, with the budget and the chosen one marked."""
    known = _known(rows, unit)
    families = list(dict.fromkeys(point.family for point in known))

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = _axes(figure, left=48, right=14, bottom=40, top=18)
        axes.set_xscale("log")
        for point in known:
            _mark(axes, point, _MARKERS[families.index(point.family) % len(_MARKERS)])
        _stretch(axes, [point.cost for point in known] + ([limit] if limit else []))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        _label_costs(axes, unit)
        if limit:
            _budget_line(axes, limit, unit)
        _name_points(axes, known, known if len(known) <= _NAMED else _leaders(known))

    return draw(
        470, 270, paint, prefix="candidates", title=f"validation accuracy against {formats.UNITS[unit]}"
    )


def _known(rows: Sequence[Candidate], unit: Unit) -> list[_Point]:
    """The candidates that have both numbers; a logarithmic axis has no place for a cost of 0."""
    points = []
    for row in rows:
        cost, accuracy = row[unit], row["val_accuracy"]
        if cost and accuracy is not None:
            points.append(_Point(cost, accuracy, _short(row["name"], 34), row["family"], row["chosen"]))
    return points


def _leaders(points: Sequence[_Point]) -> list[_Point]:
    """The chosen candidate and the best of each family."""
    best = {point.family: point for point in sorted(points, key=lambda point: point.accuracy)}
    return [point for point in points if point.chosen or point is best[point.family]]


def _mark(axes: Axes, point: _Point, marker: str) -> None:
    axes.plot(
        [point.cost],
        [point.accuracy],
        color=MUTED,
        linestyle="none",
        marker=marker,
        markersize=9 if point.chosen else 7,
        markerfacecolor=ACCENT if point.chosen else PAPER,
        markeredgecolor=ACCENT if point.chosen else MUTED,
        markeredgewidth=1.4,
        zorder=6 if point.chosen else 5,
    )


def _stretch(axes: Axes, costs: Sequence[float]) -> None:
    """Leave air around the points, also where there is but one cost."""
    if costs:
        low, high = min(costs), max(costs)
        air = max((high / low) ** 0.12, 1.12)
        axes.set_xlim(low / air, high * air)
    axes.margins(y=0.18)
    axes.set_ylim(top=min(1.01, axes.get_ylim()[1]))


def _label_costs(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_xlim()
    wide = high / low > 12
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5, steps=_STEPS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: formats.compact(value))
    names = {
        "params": "parameters",
        "macs": "multiply-adds per picture",
        "peak_bytes": "bytes of peak memory",
    }
    axes.set_xlabel(names[unit], color=MUTED, fontsize=10)


def _budget_line(axes: Axes, limit: float, unit: str) -> None:
    axes.axvline(limit, color=WARM, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"budget {formats.amount(unit, limit)}",
        (limit, 1),
        (0, 5),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        color=WARM,
        ha="right"
        if axes.transAxes.inverted().transform(axes.transData.transform((limit, 0)))[0] > 0.5
        else "left",
        fontsize=10,
    )


def _name_points(axes: Axes, points: Sequence[_Point], named: Sequence[_Point]) -> None:
    """Write names beside the points, the chosen first, clear of the marks and of one another."""
    places = {point: axes.transData.transform((point.cost, point.accuracy)) for point in points}
    taken = [_Box(x - 7, x + 7, y) for x, y in places.values()]
    frame = axes.get_window_extent()
    for point in sorted(named, key=lambda point: (not point.chosen, -point.accuracy)):
        x, y = places[point]
        box = _free_place(x, y, 5.8 * len(point.name), taken, frame.x0, frame.x1)
        taken.append(box)
        right = box.left > x
        axes.annotate(
            point.name,
            (point.cost, point.accuracy),
            (9 if right else -9, box.height - y),
            textcoords="offset points",
            color=INK if point.chosen else MUTED,
            ha="left" if right else "right",
            va="center",
            fontsize=10,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},  # no rule runs through a name
        )


def _free_place(x: float, y: float, width: float, taken: Sequence[_Box], low: float, high: float) -> _Box:
    """The place for a name nearest to its point, right or left of it, that touches nothing taken."""
    for lift in (0, 5, -5, 10, -10, 15, -15):
        for left in (x + 9, x - 9 - width):
            box = _Box(left, left + width, y + lift)
            if low <= box.left and box.right <= high and not any(box.touches(other) for other in taken):
                return box
    return _Box(x + 9, x + 9 + width, y) if x + 9 + width < high else _Box(x - 9 - width, x - 9, y)


def _axes(figure: Figure, *, left: float, right: float, bottom: float, top: float) -> Axes:
    """One pair of axes with margins in pixels, a base line, faint horizontal rules and nothing else."""
    width, height = figure.get_size_inches() * 72
    figure.set_dpi(72)
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    axes = figure.add_axes(box)
    axes.patch.set_alpha(0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=RULE, linewidth=1)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=RULE, labelcolor=MUTED, labelsize=10, length=0, pad=5)
    axes.tick_params(axis="y", pad=left)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")  # flush with the text of the page
    return axes


def _short(name: str, most: int = 22) -> str:
    """Fit a name into a drawing: no control characters (XML takes none), no more than so many letters."""
    clean = "".join(char if char.isprintable() else " " for char in name)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
