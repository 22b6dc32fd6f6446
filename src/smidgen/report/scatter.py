"""The drawing of the candidates: accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from smidgen.report import formats
from smidgen.report.axes import LINE, STEPS, axes_on, short
from smidgen.report.schema import Candidate
from smidgen.report.svg import ACCENT, INK, MUTED, PAPER, WARM, draw
from smidgen.spec import UNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["candidates", "cost", "family_signs"]

_NAMED = 8  # of more candidates only the chosen one and the best of each family are named
_MARKERS, _SIGNS = "osD^vP", "○□◇△▽✚"  # of the families, in drawings and in text


class _Box(NamedTuple):
    """Where a line of text or a mark stands, in pixels; `height` is its middle."""

    left: float
    right: float
    height: float

    def touches(self, other: _Box) -> bool:
        apart = self.right < other.left or other.right < self.left
        return not apart and abs(self.height - other.height) < LINE - 2


class _Point(NamedTuple):
    """A candidate whose cost and accuracy are known."""

    cost: float
    accuracy: float
    name: str
    family: str
    chosen: bool


def candidates(
    rows: Sequence[Candidate],
    limit: float | None = None,
    unit: str = "params",
) -> str:
    """Draw validation accuracy against cost, logarithmic, with the budget and the chosen one marked."""
    known = _known(rows, unit)
    families = _families(rows)

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = axes_on(figure, left=48, right=14, bottom=40, top=20)
        axes.set_xscale("log")
        for point in known:
            _mark(axes, point, _MARKERS[families.index(point.family) % len(_MARKERS)])
        _stretch(axes, [point.cost for point in known] + ([limit] if limit else []))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        _label_costs(axes, unit)
        if limit:
            _budget_line(axes, limit, unit)
        _name_points(axes, known, known if len(known) <= _NAMED else _leaders(known))

    return draw(
        372,
        250,
        paint,
        prefix=f"candidates-{unit}",
        title=f"validation accuracy against {formats.title(unit)}",
    )


def cost(row: Candidate, unit: str) -> float | None:
    """What a candidate costs in a unit of a budget; None where it is not known."""
    found = {**row}.get(unit)
    return found if isinstance(found, int | float) else None


def family_signs(rows: Sequence[Candidate]) -> dict[str, str]:
    """The sign that `candidates` draws for each family."""
    return {family: _SIGNS[rank % len(_SIGNS)] for rank, family in enumerate(_families(rows))}


def _families(rows: Sequence[Candidate]) -> list[str]:
    return list(dict.fromkeys(row["family"] for row in rows))


def _known(rows: Sequence[Candidate], unit: str) -> list[_Point]:
    """The candidates that have both numbers; a logarithmic axis has no place for a cost of 0."""
    points = []
    for row, name in zip(rows, _labels(rows), strict=True):
        used, accuracy = cost(row, unit), row["val_accuracy"]
        if used and accuracy is not None:
            points.append(_Point(used, accuracy, name, row["family"], row["chosen"]))
    return points


def _labels(rows: Sequence[Candidate]) -> list[str]:
    """Names without what follows the @, where they still differ; the table has them in full."""
    full = [row["name"] for row in rows]
    bases = [name.partition("@")[0] or name for name in full]
    return [
        short(base if bases.count(base) == 1 else name, 26) for base, name in zip(bases, full, strict=True)
    ]


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
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5, steps=STEPS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: formats.compact(value))
    axes.set_xlabel(UNITS[unit].axis, color=MUTED, fontsize=10)


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
        width = 5.8 * len(point.name)
        box = _free_place(x, y, width, taken, frame, 35 if point.chosen else 15)
        if box is None and not point.chosen:
            continue  # the table has it
        box = box or _Box(x - 9 - width, x - 9, y)
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


def _free_place(
    x: float, y: float, width: float, taken: Sequence[_Box], frame: Bbox, reach: int
) -> _Box | None:
    """The place for a name nearest to its point, right or left of it, that touches nothing taken.

    reach   how far above or below the point it may stand, in pixels
    """
    for lift in sorted(range(-reach, reach + 1, 5), key=abs):
        for left in (x + 9, x - 9 - width):
            box = _Box(left, left + width, y + lift)
            inside = frame.x0 <= box.left and box.right <= frame.x1 and box.height <= frame.y1 - 4
            if inside and not any(box.touches(other) for other in taken):
                return box
    return None
