"""Colours of the figures: one table of light and dark, and which class paints with which.

Every element carries its light colours as plain attributes, so that converters without CSS variables
draw the figure as it prints; a style sheet repaints the classes from variables, which follow the
reader's theme on a screen and which a page may override.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FONT", "PAINTS", "VARIABLES", "Paint", "attributes", "stylesheet"]

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"

# name          light      dark
VARIABLES = {
    "paper": ("#ffffff", "#15191e"),
    "ink": ("#1d2732", "#e7ebef"),
    "muted": ("#5a6773", "#9eabb8"),
    "line": ("#8895a2", "#73808d"),
    "hair": ("#dde3e9", "#303942"),
    "band": ("#f5f7f9", "#1b2026"),
    "conv": ("#e1eaf6", "#22324a"),
    "conv-edge": ("#4a74b0", "#7fa6dc"),
    "block": ("#ddf0ea", "#1c3b35"),
    "block-edge": ("#2f8573", "#63bda8"),
    "shift": ("#f0e3ef", "#3d2b3f"),
    "shift-edge": ("#8f5a8a", "#c795c2"),
    "pool": ("#eef1f4", "#272e36"),
    "pool-edge": ("#7c8996", "#8a97a5"),
    "head": ("#f8ecd9", "#41331c"),
    "head-edge": ("#ab762c", "#dcae68"),
    # Directions of a shift: eight hues around the compass from east, then the centre.
    "way-0": ("#5b8fd0", "#6f9fdc"),
    "way-1": ("#46a0a6", "#58b3b9"),
    "way-2": ("#57a773", "#69b985"),
    "way-3": ("#93a341", "#a8b856"),
    "way-4": ("#cb9b3b", "#dbad50"),
    "way-5": ("#cf7b52", "#de8d66"),
    "way-6": ("#c0657f", "#d27a93"),
    "way-7": ("#8f72bd", "#a389d0"),
    "way-8": ("#93a0ac", "#7d8995"),
}


class Paint(NamedTuple):
    """Variables that a class fills and strokes with; "none" for neither."""

    fill: str
    stroke: str
    width: float = 1.0
    dash: str = ""


PAINTS = {
    "paper": Paint("paper", "none"),
    "ink": Paint("ink", "none"),
    "muted": Paint("muted", "none"),
    "band": Paint("band", "none"),
    "hair": Paint("none", "hair"),
    "track": Paint("hair", "none"),
    "rule": Paint("none", "line", 1.0, "2 3"),
    "wire": Paint("none", "line", 1.4),
    "tip": Paint("line", "none"),
    "skip": Paint("none", "block-edge", 1.6),
    "skip-tip": Paint("block-edge", "none"),
    "ghost": Paint("none", "line", 1.0, "4 3"),
    "node": Paint("paper", "line", 1.4),
    "sign": Paint("none", "ink", 1.6),
    "conv": Paint("conv", "conv-edge"),
    "block": Paint("block", "block-edge"),
    "shift": Paint("shift", "shift-edge"),
    "pool": Paint("pool", "pool-edge"),
    "head": Paint("head", "head-edge"),
    **{f"way-{index}": Paint(f"way-{index}", "paper", 0.8) for index in range(9)},
    **{f"lost-{index}": Paint("none", f"way-{index}", 0.8, "2 2") for index in range(9)},
    "frame": Paint("none", "ink", 1.2),
    "move": Paint("none", "paper", 1.6),
    "grid": Paint("none", "paper", 0.8),
    "sheet": Paint("paper", "line", 0.9),
    "conv-side": Paint("conv-edge", "conv", 0.6),
    "block-side": Paint("block-edge", "block", 0.6),
    "shift-side": Paint("shift-edge", "shift", 0.6),
    "outline": Paint("none", "ink", 1.1, "4 3"),
    "key": Paint("paper", "hair"),
    "filter": Paint("conv-edge", "paper", 0.8),
    "bar-params": Paint("conv-edge", "none"),
    "bar-macs": Paint("head-edge", "none"),
    "series-0": Paint("none", "conv-edge", 1.8),
    "series-1": Paint("none", "head-edge", 1.8),
    "series-2": Paint("none", "block-edge", 1.8),
    "series-3": Paint("none", "shift-edge", 1.8),
    "series-4": Paint("none", "pool-edge", 1.8),
    "dot-0": Paint("conv-edge", "paper", 1.5),
    "dot-1": Paint("head-edge", "paper", 1.5),
    "dot-2": Paint("block-edge", "paper", 1.5),
    "dot-3": Paint("shift-edge", "paper", 1.5),
    "dot-4": Paint("pool-edge", "paper", 1.5),
    "params-ink": Paint("conv-edge", "none"),
    "macs-ink": Paint("head-edge", "none"),
    "skip-ink": Paint("block-edge", "none"),
    "shift-ink": Paint("shift-edge", "none"),
}


def attributes(paint: str) -> str:
    """Class and light colours of one paint, as SVG attributes."""
    fill, stroke, width, dash = PAINTS[paint]
    text = f'class="sm-{paint}" fill="{_light(fill)}"'
    if stroke != "none":
        text += f' stroke="{_light(stroke)}" stroke-width="{width:g}"'
    if dash:
        text += f' stroke-dasharray="{dash}"'
    return text


def stylesheet(used: set[str]) -> str:
    """Style sheet that repaints the `used` classes from theme variables."""
    paints = sorted(used)
    names = sorted({name for paint in paints for name in PAINTS[paint][:2]} - {"none"})
    light, dark = ("".join(f"--sm-{name}:{VARIABLES[name][theme]};" for name in names) for theme in (0, 1))
    rules = "".join(_rule(paint) for paint in paints)
    # `:where` weighs nothing, so that a page's own `.sm-figure {--sm-ink: …}` wins.
    return (
        f":where(.sm-figure){{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:where(.sm-figure){{{dark}}}}}"
        f"{rules}"
    )


def _light(name: str) -> str:
    return "none" if name == "none" else VARIABLES[name][0]


def _rule(paint: str) -> str:
    fill, stroke, *_ = PAINTS[paint]
    body = "" if fill == "none" else f"fill:var(--sm-{fill});"
    body += "" if stroke == "none" else f"stroke:var(--sm-{stroke});"
    return f".sm-figure .sm-{paint}{{{body}}}"
