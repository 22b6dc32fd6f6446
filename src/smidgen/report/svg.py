"""Turn a matplotlib figure into an SVG that takes its colours from the page it stands on.

The figure is drawn in the stand-in colours below. In the SVG each becomes a CSS variable with a fallback, so
one picture serves a light page, a dark page and a page that knows none of the variables.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from smidgen.spec import DependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "INK", "MUTED", "PAPER", "RULE", "WARM", "draw"]

INK, MUTED, RULE, PAPER = "#010203", "#040506", "#070809", "#0a0b0c"
ACCENT, WARM = "#0d0e0f", "#101112"

# stand-in -> what the page sees; the fallbacks are readable on white and on black
_VARIABLES = {
    INK: "var(--ink, currentColor)",
    MUTED: "var(--muted, #808080)",
    RULE: "var(--rule, #80808055)",
    PAPER: "var(--paper, transparent)",
    ACCENT: "var(--accent, #3b82a6)",
    WARM: "var(--warm, #d0693f)",
}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: searchable, and in the page's own typeface
    "svg.hashsalt": "smidgen",  # the same figure gives the same file
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 11.0,
    "axes.unicode_minus": True,
}
_PIXEL = 1 / 72  # an inch of the figure is 72 units of the SVG, and a unit is shown as one CSS pixel


def draw(width: int, height: int, paint: Callable[[Figure], None], *, prefix: str, title: str) -> str:
    """Draw with `paint` on a fresh figure and return the SVG element.

    width, height  of the drawing, in CSS pixels at its natural size
    prefix         begins every id, so that several drawings share a page
    title          what a screen reader says
    Raises         DependencyError without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise DependencyError("plots need matplotlib; pip install 'smidgen[train]'") from None
    target = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # Only the width of such a letter is guessed from another typeface; the page has its own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        figure = Figure(figsize=(width * _PIXEL, height * _PIXEL))
        figure.patch.set_alpha(0)
        paint(figure)
        figure.savefig(target, format="svg", metadata={"Date": None})
    return _adopt(target.getvalue(), width, height, prefix, title)


def _adopt(text: str, width: int, height: int, prefix: str, title: str) -> str:
    """Make matplotlib's document an element of a page: no prolog, no namespaces, no style sheet, own ids."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): value for key, value in element.attrib.items()}
    _drop(root, {"metadata", "style"})
    _rename_ids(root, prefix)
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _restyle(element.attrib["style"]))
    root.attrib = {
        "class": "plot",
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "style": f"width: 100%; max-width: {width}px; stroke-linejoin: round; stroke-linecap: butt",
    }
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return re.sub(r"\n\s*", " ", ElementTree.tostring(root, encoding="unicode"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _drop(parent: ElementTree.Element, names: set[str]) -> None:
    for child in list(parent):
        if child.tag in names:
            parent.remove(child)
        else:
            _drop(child, names)


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    """Number the ids that something points at, under the prefix, and drop the rest."""
    text = " ".join(
        value
        for element in root.iter()
        for key, value in element.attrib.items()
        if key in ("href", "clip-path")
    )
    pointed = dict.fromkeys(re.findall(r"#([\w.-]+)", text))
    names = {old: f"{prefix}-{number}" for number, old in enumerate(pointed)}
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in names:
            element.set("id", names[identity])
        for key in ("href", "clip-path"):
            value = element.attrib.get(key, "")
            if "#" in value:
                element.set(key, re.sub(r"#([\w.-]+)", lambda match: f"#{names[match[1]]}", value))


def _restyle(style: str) -> str:
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: _VARIABLES.get(match[0], match[0]), style)
