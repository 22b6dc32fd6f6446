"""What the engine makes of a Program for its kernels; other machines get the Program without it."""

from __future__ import annotations

from smidgen.engine.passes.expanding import expanding
from smidgen.engine.passes.means import means
from smidgen.engine.passes.needed import only_what_is_read
from smidgen.engine.passes.planar import copied_input
from smidgen.engine.passes.ways import ways
from smidgen.program import Pass, Program

__all__ = ["PASSES", "for_engine"]

# In this order: a way is decided for what the others leave.
PASSES: tuple[Pass, ...] = (copied_input, means, expanding, only_what_is_read, ways)


def for_engine(program: Program) -> Program:
    """The same answers, by the ways that this engine's kernels have."""
    for change in PASSES:
        program = change(program)
    return program
