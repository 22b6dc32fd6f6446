"""One block as a data-flow diagram."""

from __future__ import annotations

from smidgen.draw.flow import diagram
from smidgen.draw.svg import Canvas, clip, text_width
from smidgen.graph.cost import cost, output_shape
from smidgen.graph.nodes import Node
from smidgen.spec import Shape

__all__ = ["block"]

_MARGIN = 24.0
_END = 30.0  # wire before the first and after the last box
_NARROWEST = 300.0


def block(node: Node, x: Shape, title: str) -> str:
    """Drawing of `node` on input shape `x` as SVG: operations in boxes, the shapes between them on wires.

    Branches of Sum, Concat and Gate stand side by side and meet in +, concat and ×.
    Raises   ShapeError where a node cannot take the shape that reaches it.
    """
    flow, total = diagram(node, x), cost(node, x)
    facts = f"{total.params:,} parameters · {total.macs:,} MACs"
    inner = max(flow.left + flow.right, _NARROWEST, text_width(facts, 12))
    canvas = Canvas()
    canvas.text(_MARGIN, _MARGIN + 8, clip(title, inner, 16, bold=True), "ink", 16, bold=True)
    canvas.text(_MARGIN, _MARGIN + 30, facts, "muted", 12)
    axis = _MARGIN + flow.left + (inner - flow.left - flow.right) / 2
    y = _MARGIN + 62
    canvas.text(axis, y, str(x), "ink", 12, "middle")
    y += 10
    wire = canvas.polyline if flow.splits else canvas.arrow
    wire([(axis, y), (axis, y + _END)], "wire")
    flow.draw(canvas, axis, y + _END)
    y += _END + flow.height
    canvas.arrow([(axis, y), (axis, y + _END)])
    y += _END + 11
    canvas.text(axis, y, str(output_shape(node, x)), "ink", 12, "middle")
    return canvas.finish(inner + 2 * _MARGIN, y + 8 + _MARGIN, title)
