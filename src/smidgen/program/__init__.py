"""The Program: a network as a machine does it, fused steps on typed maps and weights.

`lower` makes it of a network and its weights, `interpret` says what it means, passes change it. What runs or
writes it (the engine, the exporters) reads its steps, and decides nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from
from smidgen.program.arena import ALIGNMENT, Arena, lay_out
from smidgen.program.listing import LARGEST_MAP
from smidgen.program.lower import lower
from smidgen.program.program import Pass, Program
from smidgen.program.steps import (
    Affine,
    After,
    Conv,
    Depthwise,
    Mean,
    Pixels,
    Pointwise,
    Pooling,
    Run,
    Step,
    Transpose,
    View,
    Way,
    inner,
    learnt,
    views_read,
    views_written,
)
from smidgen.program.values import FLOAT32, Array, DType, Encoding, Map, Weight
from smidgen.program.weights import Weights

if TYPE_CHECKING:
    from smidgen.program.drawn import Ones, draw_weights
    from smidgen.program.interpreter import interpret
    from smidgen.program.work import KINDS, Work, work_of

# Loaded when first used: an engine on the native kernels needs none of them to begin.
_LATER = {
    "KINDS": "work",
    "Ones": "drawn",
    "Work": "work",
    "draw_weights": "drawn",
    "interpret": "interpreter",
    "work_of": "work",
}

__all__ = [
    "ALIGNMENT",
    "FLOAT32",
    "KINDS",
    "LARGEST_MAP",
    "Affine",
    "After",
    "Arena",
    "Array",
    "Conv",
    "DType",
    "Depthwise",
    "Encoding",
    "Map",
    "Mean",
    "Ones",
    "Pass",
    "Pixels",
    "Pointwise",
    "Pooling",
    "Program",
    "Run",
    "Step",
    "Transpose",
    "View",
    "Way",
    "Weight",
    "Weights",
    "Work",
    "draw_weights",
    "inner",
    "interpret",
    "lay_out",
    "learnt",
    "lower",
    "views_read",
    "views_written",
    "work_of",
]


__getattr__ = loaded_from(__name__, _LATER)
