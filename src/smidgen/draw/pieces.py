"""Pieces of a data-flow diagram: boxes on wires, branches side by side, merges where they meet.

Every piece knows how far it reaches to both sides of the wire that it hangs on, and how tall it is;
positions follow from that in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from smidgen.draw.svg import Canvas, text_width

__all__ = ["APART", "DETAIL", "PAD", "TITLE", "Box", "Diagram", "Fork", "Piece", "label_width"]

TITLE, DETAIL, _LABEL = 12.5, 10.5, 10.5
PAD, _ONE_LINE, _TWO_LINES = 16.0, 30.0, 44.0
_WIRE = 32.0  # between boxes, room for the label of a shape
_SPLIT = 26.0  # from where a wire splits to the first box of a branch
APART = 26.0  # between branches
_RADIUS = 9.0  # of a merge's circle
_BAR = 26.0  # height of a concat's bar


class Piece(Protocol):
    """Part of a diagram on a vertical wire at x = 0, from y = 0 to `height`."""

    @property
    def left(self) -> float:
        """Reach to the left of the wire."""

    @property
    def right(self) -> float:
        """Reach to the right of it."""

    @property
    def height(self) -> float:
        """Height."""

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw it with its wire at `x` and its top at `y`."""


@dataclass(frozen=True, slots=True)
class Box:
    """One operation."""

    title: str
    details: str
    kind: str
    tooltip: str
    width: float

    @property
    def left(self) -> float:
        """Reach to the left of the wire."""
        return self.width / 2

    @property
    def right(self) -> float:
        """Reach to the right of it."""
        return self.width / 2

    @property
    def height(self) -> float:
        """Height."""
        return _TWO_LINES if self.details else _ONE_LINE

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw it with its wire at `x` and its top at `y`."""
        middle = y + self.height / 2
        canvas.open(self.tooltip)
        canvas.rect(x - self.width / 2, y, self.width, self.height, self.kind, 5)
        canvas.text(x, middle - 8 if self.details else middle, self.title, "ink", TITLE, "middle", bold=True)
        canvas.text(x, middle + 9, self.details, "muted", DETAIL, "middle")
        canvas.close()


@dataclass(frozen=True, slots=True)
class Diagram:
    """Pieces one after the other, and the label of the wire after each."""

    pieces: tuple[Piece, ...]
    labels: tuple[str, ...]

    @property
    def splits(self) -> bool:
        """Whether it begins with a split, where a wire has no arrowhead."""
        return bool(self.pieces) and isinstance(self.pieces[0], Fork)

    @property
    def left(self) -> float:
        """Reach to the left of the wire."""
        return max((piece.left for piece in self.pieces), default=0.0)

    @property
    def right(self) -> float:
        """Reach to the right of it."""
        labels = [label_width(label) for label in self.labels]
        return max([piece.right for piece in self.pieces] + labels, default=0.0)

    @property
    def height(self) -> float:
        """Height."""
        return sum(piece.height for piece in self.pieces) + _WIRE * max(len(self.pieces) - 1, 0)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw it with its wire at `x` and its top at `y`."""
        for index, (piece, label) in enumerate(zip(self.pieces, self.labels, strict=True)):
            piece.draw(canvas, x, y)
            y += piece.height
            if index + 1 < len(self.pieces):
                following = self.pieces[index + 1]
                _wire(canvas, x, y, y + _WIRE, label, head=not isinstance(following, Fork))
                y += _WIRE


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches between a split and a merge; `offsets` are their wires' places beside the split.

    kind   sum and gate merge in a circle on the wire of the first branch, concat in a bar below all
    """

    kind: Literal["sum", "gate", "concat"]
    branches: tuple[Diagram, ...]
    labels: tuple[str, ...]
    offsets: tuple[float, ...]

    @property
    def left(self) -> float:
        """Reach to the left of the wire."""
        return max(branch.left - offset for branch, offset in zip(self.branches, self.offsets, strict=True))

    @property
    def right(self) -> float:
        """Reach to the right of it."""
        return max(
            offset + max(branch.right, label_width(label) if branch.pieces else 4)
            for branch, offset, label in zip(self.branches, self.offsets, self.labels, strict=True)
        )

    @property
    def height(self) -> float:
        """Height."""
        return _SPLIT + max(branch.height for branch in self.branches) + _WIRE + self._merge

    @property
    def _merge(self) -> float:
        return _BAR if self.kind == "concat" else 2 * _RADIUS

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw it with its wire at `x` and its top at `y`."""
        merge = y + self.height - self._merge
        for branch, offset, label in zip(self.branches, self.offsets, self.labels, strict=True):
            self._draw_branch(canvas, branch, x, x + offset, y, merge, label)
        if self.kind == "concat":
            self._draw_bar(canvas, x, merge)
        else:
            _circle(canvas, x, merge + _RADIUS, plus=self.kind == "sum")
        canvas.circle(x, y, 2.4, "tip")

    def _draw_branch(
        self, canvas: Canvas, branch: Diagram, split: float, x: float, y: float, merge: float, label: str
    ) -> None:
        start = [(split, y), (x, y)] if abs(x - split) > 0.1 else [(x, y)]
        end = [(x, merge)]
        if self.kind != "concat" and abs(x - split) > 0.1:
            end = [(x, merge + _RADIUS), (split + _RADIUS, merge + _RADIUS)]
        if not branch.pieces:
            canvas.arrow([*start, *end], radius=10)
            return
        top = y + _SPLIT
        if branch.splits:
            canvas.polyline([*start, (x, top)], "wire", 10)
        else:
            canvas.arrow([*start, (x, top)], radius=10)
        branch.draw(canvas, x, top)
        bottom = top + branch.height
        canvas.arrow([(x, bottom), *end], radius=10)
        canvas.text(x + 8, bottom + 13, label, "muted", _LABEL)

    def _draw_bar(self, canvas: Canvas, x: float, y: float) -> None:
        reach = max(max(abs(offset) for offset in self.offsets) + 24, 40)
        canvas.rect(x - reach, y, 2 * reach, _BAR, "node", _BAR / 2)
        canvas.text(x, y + _BAR / 2, "concat", "ink", DETAIL + 1, "middle")


def label_width(label: str) -> float:
    """Reach of a label beside its wire."""
    return 8 + text_width(label, _LABEL) if label else 0.0


def _wire(canvas: Canvas, x: float, start: float, end: float, label: str, head: bool) -> None:
    if head:
        canvas.arrow([(x, start), (x, end)])
    else:
        canvas.polyline([(x, start), (x, end)], "wire")
    canvas.text(x + 8, (start + end) / 2 - 2, label, "muted", _LABEL)


def _circle(canvas: Canvas, x: float, y: float, plus: bool) -> None:
    canvas.circle(x, y, _RADIUS, "node")
    arm = 4.5 if plus else 3.4
    strokes = ((arm, 0.0), (0.0, arm)) if plus else ((arm, arm), (arm, -arm))
    for dx, dy in strokes:
        canvas.polyline([(x - dx, y - dy), (x + dx, y + dy)], "sign")
