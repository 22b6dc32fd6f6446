"""Pictures of networks as SVG text, drawn from the tree; equal input gives equal bytes."""

from smidgen.graph.draw.architecture import architecture
from smidgen.graph.draw.block import block
from smidgen.graph.draw.compare import compare
from smidgen.graph.draw.locate import locate
from smidgen.graph.draw.panels import Line, Panel, panels
from smidgen.graph.draw.scaling import scaling
from smidgen.graph.draw.scatter import Point, scatter
from smidgen.graph.draw.shift import shift_operation

__all__ = [
    "Line",
    "Panel",
    "Point",
    "architecture",
    "block",
    "compare",
    "locate",
    "panels",
    "scaling",
    "scatter",
    "shift_operation",
]
