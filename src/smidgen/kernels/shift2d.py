"""The shift operation: every channel reads one neighbour. No parameters, no multiply-adds.

The registered operator takes offsets as runs over contiguous channels, flattened to plain integers
(count, dy, dx, count, dy, dx, …), because a graph can hold those as constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, TypeAlias

import torch
from torch import Tensor

from smidgen.spec import ShapeError

__all__ = ["Offsets", "Run", "shift2d"]

Run: TypeAlias = tuple[int, int, int]
# int64[C, 2], one (dy, dx) a channel, or runs (count, dy, dx).
Offsets: TypeAlias = Tensor | Sequence[Sequence[int]]


def shift2d(x: Tensor, offsets: Offsets) -> Tensor:
    """Let every channel look at a neighbour: y[h, w] = x[h + dy, w + dx], zero outside.

    x        any dtype[N, C, H, W], in any memory format
    offsets  int64[C, 2], (dy, dx) in pixels; or a sequence of C pairs; or of runs (count, dy, dx)
    returns  like x, in the memory format of x; every value is copied bit by bit
    Raises   ShapeError unless x has four axes and the offsets cover exactly its channels.
    Source   Wu et al. 2018, arXiv:1711.08141, section 3.2; direction of reading as in the authors' code
    """
    shifted: Tensor = torch.ops.smidgen.shift2d(x, [number for run in _runs(offsets) for number in run])
    return shifted


def _runs(offsets: Offsets) -> list[Run]:
    """Offsets of any accepted form as runs."""
    if isinstance(offsets, Tensor):
        if offsets.dtype.is_floating_point or offsets.dtype.is_complex or offsets.dtype == torch.bool:
            raise ShapeError(f"offsets are {offsets.dtype}; whole pixels are needed, as int64[C, 2]")
        if offsets.dim() != 2:
            raise ShapeError(f"offsets have shape {list(offsets.shape)}; (dy, dx) a channel is [C, 2]")
        offsets = offsets.tolist()
    widths = {len(row) for row in offsets}
    if widths == {3}:
        return [(count, dy, dx) for count, dy, dx in offsets]
    if widths <= {2}:
        pairs = ((dy, dx) for dy, dx in offsets)
        return [(sum(1 for _ in same), dy, dx) for (dy, dx), same in groupby(pairs)]
    raise ShapeError(f"offsets have rows of {sorted(widths)} numbers; (dy, dx) or (count, dy, dx) is needed")


def _check(x: Tensor, runs: Sequence[int]) -> None:
    if x.dim() != 4:
        raise ShapeError(f"shift2d got a tensor of shape {list(x.shape)}; it needs [N, C, H, W]")
    counts = runs[::3]
    if len(runs) % 3 or any(count < 1 for count in counts):
        raise ShapeError("runs are triples (count, dy, dx) with a count of at least 1")
    covered, channels = sum(counts), x.shape[1]
    if covered != channels:
        raise ShapeError(f"offsets cover {covered} channels and the tensor has {channels}; each needs one")


def _reads(size: int, offset: int) -> tuple[slice, slice]:
    """Where to write and where to read along one axis, so that every read is inside."""
    first, last = max(0, -offset), min(size, size - offset)
    last = max(first, last)
    return slice(first, last), slice(first + offset, last + offset)


def _reference(x: Tensor, runs: Sequence[int]) -> Tensor:
    """Copy one slice a run. A one-hot convolution would turn an infinity into NaN (0 * inf)."""
    _check(x, runs)
    shifted = torch.zeros_like(x)
    channel = 0
    for count, dy, dx in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        rows, source_rows = _reads(x.shape[2], dy)
        columns, source_columns = _reads(x.shape[3], dx)
        channels = slice(channel, channel + count)
        shifted[:, channels, rows, columns] = x[:, channels, source_rows, source_columns]
        channel += count
    return shifted


def _fake(x: Tensor, runs: Sequence[int]) -> Tensor:
    _check(x, runs)
    return torch.empty_like(x)


def _keep_runs(ctx: Any, inputs: tuple[Tensor, Sequence[int]], output: Tensor) -> None:  # noqa: ARG001
    ctx.runs = inputs[1]


def _adjoint(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    """Read at -d: the adjoint of reading at +d, with zeros outside in both."""
    runs = [-number if place % 3 else number for place, number in enumerate(ctx.runs)]
    return torch.ops.smidgen.shift2d(gradient, runs), None


def _register() -> torch.library.Library:
    library: Any = torch.library.Library("smidgen", "FRAGMENT")  # type: ignore[no-untyped-call]
    library.define("shift2d(Tensor x, int[] runs) -> Tensor")
    library.impl("shift2d", _reference, "CompositeExplicitAutograd")
    torch.library.register_fake("smidgen::shift2d", _fake, lib=library)
    torch.library.register_autograd("smidgen::shift2d", _adjoint, setup_context=_keep_runs, lib=library)
    return library  # type: ignore[no-any-return]


_library = _register()  # the registration lives as long as this object
