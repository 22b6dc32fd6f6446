"""What all drawings of a report have in common: their axes, their ticks, names that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.report.svg import MUTED, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LINE", "STEPS", "axes_on", "short"]

STEPS = (1, 2, 2.5, 5, 10)  # between ticks, times a power of ten
LINE = 13  # pixels from one line of small text to the next


def axes_on(figure: Figure, *, left: float, right: float, bottom: float, top: float) -> Axes:
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


def short(name: str, most: int = 22) -> str:
    """Fit a name into a drawing: no control characters (XML takes none), no more than so many letters."""
    clean = "".join(char if char.isprintable() else " " for char in name)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
