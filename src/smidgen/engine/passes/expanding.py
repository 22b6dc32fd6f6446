"""A depthwise convolution makes its input itself, piece by piece, where a plain 1x1 convolution would."""

from __future__ import annotations

from collections import Counter

from smidgen.graph.leaves import has_no_window
from smidgen.program import Conv, Depthwise, Program, Step, views_read

__all__ = ["expanding"]


def expanding(program: Program) -> Program:
    """Join each depthwise convolution with the plain 1x1 convolution that only it reads."""
    readers = Counter(view.map for step in program.steps for view in views_read(step))
    makers = {
        step.y: step
        for step in program.steps
        if isinstance(step, Conv) and _is_plain(step) and step.x.map != program.input
    }
    joined: dict[int, Step] = {}
    for step in program.steps:
        if isinstance(step, Depthwise) and step.x in makers and readers[step.x.map] == 1:
            first = makers[step.x]
            del joined[first.id]
            joined[step.id] = step._replace(first=first)
        else:
            joined[step.id] = step
    return program._replace(steps=tuple(joined.values()))


def _is_plain(conv: Conv) -> bool:
    """Whether a convolution only mixes the channels of a pixel."""
    leaf = conv.leaf
    extras = (conv.before, conv.gate, conv.after.add, conv.after.then)
    return has_no_window(leaf) and leaf.stride == 1 and not conv.runs and all(part is None for part in extras)
