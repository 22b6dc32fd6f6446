"""Accuracy against multiply-adds, a line for each rule, all from the same base.

Source   Tan & Le 2019, arXiv:1905.11946, Figures 3 and 8, for data of one's own
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen.search.growth import BASE

__all__ = ["draw_search"]

# Rule -> colour and marker; the one that was found, if it has no name, lies wide below the others.
_STYLES = {
    "compound": ("tab:red", "o"),
    "width": ("tab:blue", "s"),
    "depth": ("tab:green", "^"),
    "resolution": ("tab:orange", "D"),
    "tinynet": ("tab:purple", "v"),
}
_FOUND = ("0.75", "o")


def draw_search(document: Mapping[str, Any], path: Path) -> None:
    """Draw the points of a search's document as PNG, with the deviation over the seeds."""
    from matplotlib.figure import Figure

    points, agenda = document["points"], document["agenda"]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    start = [point for point in points if point["rule"] == BASE]
    found = [document["found"]["rule"]] if document["found"] else []
    for rule in dict.fromkeys([*found, *agenda["rules"]]):
        wide = 3 if rule not in _STYLES else 1
        colour, marker = _STYLES.get(rule, _FOUND)
        curve = sorted(start + [p for p in points if p["rule"] == rule], key=lambda p: p["budget"])
        axes.errorbar(
            [point["macs"] for point in curve],
            [100 * point["accuracy"] for point in curve],
            [100 * (point["std"] or 0) for point in curve],
            color=colour, marker=marker, markersize=4 + 2 * wide, capsize=2 + wide, linewidth=1.3 * wide,
            label=_label(rule, found),
        )  # fmt: skip
    _background(axes, document, points)
    seeds = f"{agenda['seeds']} seeds" if agenda["seeds"] > 1 else "1 seed"
    axes.set_title(
        f"{agenda['base']['family']} on {document['name']}: {seeds}, {agenda['recipe']['epochs']} epochs; "
        "bars: ± one deviation",
        fontsize=10,
    )
    figure.savefig(path, dpi=130, format="png")


def _background(axes: Any, document: Mapping[str, Any], points: list[dict[str, Any]]) -> None:
    """The grid's finalists as grey dots, axes and legend."""
    lines = {*document["agenda"]["rules"], BASE}
    if document["found"]:
        lines.add(document["found"]["rule"])
    others = [point for point in points if point["rule"] not in lines]
    if others:
        heights = [100 * point["accuracy"] for point in others]
        axes.plot([p["macs"] for p in others], heights, ".", color="0.6", label="other finalists of the grid")
    axes.set_xlabel("multiply-adds (millions)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
    axes.set_ylabel("validation accuracy (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)


def _label(rule: str, found: list[str]) -> str:
    return f"{rule} (found)" if rule in found else rule
