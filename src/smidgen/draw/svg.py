"""SVG text: the few shapes that the figures are made of, and how wide a text will be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from smidgen.draw.palette import FONT, attributes, stylesheet

__all__ = ["Canvas", "clip", "escape", "text_width"]

Anchor = Literal["start", "middle", "end"]

# Advance widths of Helvetica in thousandths of the size, from Adobe's font metrics (Core14 AFM);
# anything that is not listed counts as the widest of its kind.
_WIDTHS = {
    222: "ijl",
    278: " !,./:;ftI[]\\|",
    333: "()-r`²³·",
    389: "*",
    500: "ckszvxyJ",
    556: "abdeghnopqu0123456789_#$?L",
    584: "+<=>~×÷−",
    611: "FTZ",
    667: "ABEKPSVXY&",
    722: "CDHNRUw",
    778: "GOQ",
    833: "mM",
    944: "W",
}
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_BOLD = 1.08  # Helvetica Bold over Helvetica, on average
_OTHER = 1000


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of `text` in pixels at font size `size`."""
    units = sum(_WIDTH_OF.get(character, _OTHER) for character in text)
    return units * size / 1000 * (_BOLD if bold else 1.0)


def clip(text: str, width: float, size: float, bold: bool = False) -> str:
    """`text`, cut with an ellipsis where it is wider than `width`."""
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def escape(text: str) -> str:
    """`text` as XML character data or attribute; characters that XML forbids become U+FFFD."""
    safe = "".join(character if _allowed(ord(character)) else "\ufffd" for character in text)
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        safe = safe.replace(raw, entity)
    return safe


def _allowed(code: int) -> bool:
    """Whether XML 1.0 allows the character (tab and line ends are not wanted in a label)."""
    return (
        (0x20 <= code <= 0xD7FF and not 0x7F <= code <= 0x9F) or 0xE000 <= code <= 0xFFFD or code >= 0x10000
    )


class Canvas:
    """Collects shapes in drawing order; `finish` wraps them up. Coordinates are pixels, y downwards."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._used: set[str] = {"paper"}

    def rect(self, x: float, y: float, width: float, height: float, paint: str, radius: float = 0) -> None:
        """Rectangle with its corner at (x, y)."""
        corner = f' rx="{_number(radius)}"' if radius else ""
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        self._add(f"<rect {place}{corner} {self._paint(paint)}/>")

    def circle(self, x: float, y: float, radius: float, paint: str) -> None:
        """Circle around (x, y)."""
        place = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"'
        self._add(f"<circle {place} {self._paint(paint)}/>")

    def path(self, data: str, paint: str) -> None:
        """Path in SVG's own notation; see `polyline` and `polygon` for straight ones."""
        self._add(f'<path d="{data}" {self._paint(paint)}/>')

    def polygon(self, points: Sequence[tuple[float, float]], paint: str) -> None:
        """Closed outline through `points`."""
        self.path(_straight(points) + "Z", paint)

    def polyline(self, points: Sequence[tuple[float, float]], paint: str, radius: float = 0) -> None:
        """Open line through `points`, its corners rounded by `radius`."""
        self.path(_rounded(points, radius) if radius else _straight(points), paint)

    def arrow(
        self,
        points: Sequence[tuple[float, float]],
        paint: str = "wire",
        tip: str = "tip",
        radius: float = 0,
        size: float = 4,
    ) -> None:
        """Line through `points` with a head at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        back = (x1 - ux * size * 1.7, y1 - uy * size * 1.7)
        self.polyline([*points[:-1], back], paint, radius)
        left = (back[0] - uy * size, back[1] + ux * size)
        right = (back[0] + uy * size, back[1] - ux * size)
        self.polygon([(x1, y1), left, right], tip)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        paint: str = "ink",
        size: float = 12,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """Line of text whose vertical middle is at `y`."""
        place = _text_place(x, y + 0.35 * size, size)
        if anchor != "start":
            place += f' text-anchor="{anchor}"'
        if bold:
            place += ' font-weight="bold"'
        self._add_text(place, text, paint)

    def text_upwards(self, x: float, y: float, text: str, paint: str = "ink", size: float = 12) -> None:
        """Line of text around (x, y) that reads upwards."""
        px = x + 0.35 * size
        turn = f'transform="rotate(-90 {_number(px)} {_number(y)})" text-anchor="middle"'
        self._add_text(f"{_text_place(px, y, size)} {turn}", text, paint)

    def open(self, title: str = "") -> None:
        """Begin a group; `title` is what a browser shows over it."""
        self._add(f"<g><title>{escape(title)}</title>" if title else "<g>")

    def close(self) -> None:
        """End the group begun last."""
        self._add("</g>")

    def finish(self, width: float, height: float, title: str) -> str:
        """The document, `width` x `height` pixels, with `title` for readers who do not see it."""
        size = f'viewBox="0 0 {_number(width)} {_number(height)}" width="{_number(width)}"'
        paper = f'<rect width="100%" height="100%" {self._paint("paper")}/>'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="sm-figure" role="img" {size} '
            f'height="{_number(height)}" font-family="{FONT}">'
        )
        style = f"<style>{stylesheet(self._used)}</style>"
        lines = [head, f"<title>{escape(title)}</title>", style, paper, *self._parts, "</svg>", ""]
        return "\n".join(lines)

    def _add_text(self, place: str, text: str, paint: str) -> None:
        if text:
            self._add(f"<text {place} {self._paint(paint)}>{escape(text)}</text>")

    def _add(self, part: str) -> None:
        self._parts.append(part)

    def _paint(self, paint: str) -> str:
        self._used.add(paint)
        return attributes(paint)


def _number(value: float) -> str:
    """At most one decimal, none where it is zero."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _text_place(x: float, baseline: float, size: float) -> str:
    return f'x="{_number(x)}" y="{_number(baseline)}" font-size="{_number(size)}"'


def _straight(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _rounded(points: Sequence[tuple[float, float]], radius: float) -> str:
    parts = [f"M{_number(points[0][0])} {_number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        parts.append(f"L{_number(start[0])} {_number(start[1])}")
        parts.append(f"Q{_number(corner[0])} {_number(corner[1])} {_number(end[0])} {_number(end[1])}")
    parts.append(f"L{_number(points[-1][0])} {_number(points[-1][1])}")
    return "".join(parts)


def _towards(corner: tuple[float, float], other: tuple[float, float], radius: float) -> tuple[float, float]:
    """Point on the way from `corner` to `other`, `radius` away or half-way."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = (dx * dx + dy * dy) ** 0.5
    share = min(radius / length, 0.5) if length else 0.0
    return corner[0] + dx * share, corner[1] + dy * share
