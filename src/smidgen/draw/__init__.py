"""Pictures of networks as SVG text, drawn from the tree; equal input gives equal bytes.

`architecture`, `compare`, `block`, `scaling` and `shift_operation` draw networks and what they are made of;
`locate` finds a block by its path; `panels` and `scatter` draw figures.
"""

from smidgen.draw.architecture import architecture
from smidgen.draw.block import block
from smidgen.draw.compare import compare
from smidgen.draw.locate import locate
from smidgen.draw.panels import Line, Panel, panels
from smidgen.draw.scaling import scaling
from smidgen.draw.scatter import Point, scatter
from smidgen.draw.shift import shift_operation

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
