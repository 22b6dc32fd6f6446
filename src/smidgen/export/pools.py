"""Padding of a pool, written out side by side, since runtimes disagree on what ceil_mode adds and counts."""

from __future__ import annotations

from typing import NamedTuple

from smidgen.graph import Pool
from smidgen.graph.leaves import leaf_cost
from smidgen.spec import Shape

__all__ = ["WrittenOut", "written_out"]


class WrittenOut(NamedTuple):
    """A pool without ceil_mode that does the same.

    zeros                     rows and columns of zeros around the map, put there by an operation of their own
    top, left, bottom, right  padding of the pool
    counted                   whether a mean counts that padding
    """

    zeros: int
    top: int
    left: int
    bottom: int
    right: int
    counted: bool


def written_out(leaf: Pool, shape: Shape) -> WrittenOut:
    """The padding of `leaf` on a map of this shape."""
    out = leaf_cost(leaf, shape).out
    # What the last window needs at the bottom and at the right; ceil_mode may need more than the padding.
    bottom, right = (
        max(leaf.padding, (count - 1) * leaf.stride + leaf.kernel - leaf.padding - size)
        for count, size in zip(out[1:3], shape[1:3], strict=True)
    )
    counted = leaf.kind == "avg" and leaf.count_include_pad
    if counted and max(bottom, right) > leaf.padding:
        # Torch counts the padding, but never what ceil_mode adds beyond it.
        return WrittenOut(leaf.padding, 0, 0, bottom - leaf.padding, right - leaf.padding, counted=False)
    return WrittenOut(0, leaf.padding, leaf.padding, bottom, right, counted)
