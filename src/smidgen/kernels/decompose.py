"""The shift operators in operators that all runtimes and transforms know: nothing is written in place.

For exporting, and for `torch.func` and forward-mode differentiation. Slice assignment, which tracers turn
into constants, has cost users of other shift modules their results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload

__all__ = ["decompositions", "shift2d", "shift_conv"]


def decompositions() -> dict[OpOverload, Callable[..., Tensor]]:
    """A table for `ExportedProgram.run_decompositions`: what is left is slice, pad, concat and conv2d."""
    operators = torch.ops.smidgen
    return {operators.shift2d.default: shift2d, operators.shift_conv.default: shift_conv}


def shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    """As the operator."""
    counts = runs[::3]
    ends = [sum(counts[:place]) for place in range(len(counts) + 1)]
    offsets = zip(runs[1::3], runs[2::3], strict=True)
    parts = [
        _moved(x[:, first:last], *offset)
        for (first, last), offset in zip(pairwise(ends), offsets, strict=True)
    ]
    return torch.cat(parts, 1)


def _moved(x: Tensor, dy: int, dx: int) -> Tensor:
    """One run: what is read inside, with zeros around it."""
    height, width = x.shape[2:]
    top, bottom, left, right = max(0, -dy), max(0, dy), max(0, -dx), max(0, dx)
    if top + bottom >= height or left + right >= width:
        return torch.zeros_like(x)
    inside = x[:, :, bottom : height - top, right : width - left]
    return F.pad(inside, (left, right, top, bottom))


def shift_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """As the operator."""
    return F.conv2d(shift2d(x, runs), weight, bias, stride)
