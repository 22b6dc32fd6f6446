"""The drawings of a report, as SVG text that follows the page's colours.

Every function draws on a figure of its own; only matplotlib's settings are global, while it draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smidgen.report.axes import LINE, STEPS, axes_on, short
from smidgen.report.schema import Bin, CurveRow
from smidgen.report.svg import ACCENT, INK, MUTED, RULE, WARM, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["NUMBERED", "confusion", "confusion_width", "curve", "reliability"]

NUMBERED = 30  # with more classes a matrix becomes a picture without numbers


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

        axes = axes_on(figure, left=40, right=64, bottom=36, top=10)
        for line in lines:
            if line.points:
                _trace(axes, line, mark=len(line.points) == 1)
        axes.set_xlabel("epoch", color=MUTED, fontsize=10)
        axes.set_xlim(0, max([2, *(epoch for line in lines for epoch, _ in line.points)]))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
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
    lack = LINE - (heights[1] - heights[0]) if len(heights) == 2 else 0
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

    matrix  int[K, K]; up to `NUMBERED` classes the counts are written, beyond that it is a picture
    """
    counts = np.asarray(matrix, np.int64)
    names = [short(name) for name in classes]
    numbered = len(names) <= NUMBERED
    margin, side = _margin(names), _side(names)

    def paint(figure: Figure) -> None:
        axes = axes_on(figure, left=margin, right=4, bottom=6, top=margin)
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


def confusion_width(classes: Sequence[str]) -> int:
    """Width at which `confusion` is drawn, in pixels."""
    names = [short(name) for name in classes]
    return _side(names) + _margin(names) + 4


def _margin(names: Sequence[str]) -> int:
    """Room for the names on the left and on top."""
    return 36 + 5 * max(map(len, names), default=1) if len(names) <= NUMBERED else 40


def _side(names: Sequence[str]) -> int:
    """Side of the square: large cells for few classes, never too small for two digits."""
    return max(220, min(40 * len(names), 460), 20 * len(names)) if len(names) <= NUMBERED else 420


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


def reliability(bins: Sequence[Bin]) -> str:
    """Draw accuracy against confidence, a circle a bin, above the share of the pictures in each bin.

    Source   Guo et al. 2017, arXiv:1706.04599, figure 1
    """
    total = sum(row["n"] for row in bins)

    def paint(figure: Figure) -> None:
        axes = axes_on(figure, left=48, right=10, bottom=88, top=8)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for row in bins:
            x, y = row["confidence"], row["accuracy"]
            axes.plot([x, x], [x, y], color=WARM, linewidth=1.4, zorder=2, solid_capstyle="butt")
            size = 5 + 13 * math.sqrt(row["n"] / total)
            axes.plot([x], [y], "o", color=ACCENT, markersize=size, alpha=0.85, markeredgewidth=0, zorder=3,
                      clip_on=False)  # fmt: skip
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axes.set_xticks([])
        axes.text(0.02, 1.0, "accuracy", color=MUTED, fontsize=10, va="top")
        _bin_shares(figure, axes, bins, total)

    return draw(360, 340, paint, prefix="reliability", title="accuracy against confidence")


def _bin_shares(figure: Figure, axes: Axes, bins: Sequence[Bin], total: int) -> None:
    """A strip below the axes: what share of the pictures each bin holds."""
    frame = axes.get_position()
    height = figure.get_size_inches()[1] * 72
    strip = figure.add_axes((frame.x0, 36 / height, frame.width, 40 / height))
    strip.patch.set_alpha(0)
    for side in ("left", "right", "top"):
        strip.spines[side].set_visible(False)
    strip.spines["bottom"].set(color=RULE, linewidth=1)
    shares = [row["n"] / total for row in bins]
    # The strip hangs a bar where its bin's pictures lie on average, as the circle above does.
    strip.bar([row["confidence"] for row in bins], shares, width=0.035, color=MUTED, alpha=0.7)
    strip.set(xlim=axes.get_xlim(), ylim=(0, max(shares) * 1.05), yticks=[])
    ticks = [0, 0.25, 0.5, 0.75, 1]
    strip.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    strip.tick_params(colors=RULE, labelcolor=MUTED, labelsize=10, length=0, pad=5)
    strip.set_xlabel("confidence; bars: share of the pictures", color=MUTED, fontsize=10)
