"""Where each channel of a shift looks, in every form that callers write it, and what operators refuse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import index
from typing import TypeAlias

import torch
from torch import Tensor

from smidgen.spec import ShapeError, counted

__all__ = [
    "FAR",
    "Offsets",
    "Run",
    "check_conv",
    "check_gradient",
    "check_shift",
    "check_tensor",
    "flat_runs",
    "format_of",
    "opposite",
    "size_of_output",
]

Run: TypeAlias = tuple[int, int, int]
# int64[C, 2], one (dy, dx) a channel, or runs (count, dy, dx).
Offsets: TypeAlias = Tensor | Sequence[Sequence[int]]


# Beyond every map, and an operator can hold it and its negative.
FAR = 2**62
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def flat_runs(offsets: Offsets) -> list[int]:
    """Offsets of any accepted form as runs over contiguous channels: count, dy, dx, count, dy, dx, …

    Raises   ShapeError for other numbers or another shape.
    """
    if isinstance(offsets, Tensor):
        if offsets.dtype.is_floating_point or offsets.dtype.is_complex or offsets.dtype == torch.bool:
            raise ShapeError(f"offsets are {offsets.dtype}; whole pixels are needed, as int64[C, 2]")
        if offsets.is_meta:
            raise ShapeError("offsets are on meta, which keeps no numbers; give them as pairs or runs")
        if offsets.dim() != 2:
            raise ShapeError(f"offsets have shape {list(offsets.shape)}; (dy, dx) a channel is [C, 2]")
        offsets = offsets.tolist()
    try:
        rows = [[max(-FAR, min(FAR, index(number))) for number in row] for row in offsets]
    except TypeError:
        raise ShapeError(
            f"offsets are {offsets!r:.40}; rows of integers are needed, (dy, dx) or (count, dy, dx)"
        ) from None
    widths = {len(row) for row in rows}
    if widths == {3}:
        return [number for row in rows for number in row]
    if widths <= {2}:
        pairs = ((dy, dx) for dy, dx in rows)
        return [number for (dy, dx), same in groupby(pairs) for number in (sum(1 for _ in same), dy, dx)]
    raise ShapeError(f"offsets have rows of {sorted(widths)} numbers; (dy, dx) or (count, dy, dx) is needed")


def opposite(runs: Sequence[int]) -> list[int]:
    """The runs that read at -d."""
    return [-number if place % 3 else number for place, number in enumerate(runs)]


def format_of(x: Tensor) -> torch.memory_format:
    """Memory format in which a kernel answers to float[N, C, H, W] in any strides: the nearest to its own."""
    last = x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def size_of_output(x: Tensor, weight: Tensor, stride: int) -> tuple[int, int, int, int]:
    """N, c_out, ceil(H / stride), ceil(W / stride)."""
    n, _, h, w = x.shape
    return n, weight.shape[0], (h + stride - 1) // stride, (w + stride - 1) // stride


def check_tensor(name: str, what: str, given: object) -> None:
    """Refuse what is no tensor, or one that is not laid out by strides; Raises ShapeError."""
    if not isinstance(given, Tensor):
        raise ShapeError(f"{name} got a {type(given).__name__} as {what}; it needs a tensor")
    if given.is_nested or given.layout is not torch.strided:
        raise ShapeError(f"{name} got {what} as {given.layout}; it needs a dense tensor: .to_dense()")


def check_shift(name: str, x: Tensor, runs: Sequence[int]) -> None:
    """Refuse what the operator cannot take; Raises ShapeError."""
    if x.dim() != 4:
        raise ShapeError(f"{name} got a tensor of shape {list(x.shape)}; it needs [N, C, H, W]")
    counts = runs[::3]
    if len(runs) % 3 or any(count < 1 for count in counts):
        raise ShapeError("runs are triples (count, dy, dx) with a count of at least 1")
    covered, channels = sum(counts), x.shape[1]
    if covered != channels:
        raise ShapeError(
            f"offsets cover {counted(covered, 'channel')} and the tensor has {channels}; each needs one"
        )


def check_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> None:
    """The same for a shift with its convolution."""
    check_shift("shift_conv", x, runs)
    if x.dtype not in FLOATS:
        raise ShapeError(f"shift_conv got {x.dtype}; it needs float32, float64, bfloat16 or float16")
    if weight.dim() != 4 or tuple(weight.shape[1:]) != (x.shape[1], 1, 1):
        raise ShapeError(
            f"shift_conv got a weight of shape {list(weight.shape)}; "
            f"for these {x.shape[1]} channels it needs [c_out, {x.shape[1]}, 1, 1]"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(f"shift_conv got a bias of shape {list(bias.shape)}; it needs [{weight.shape[0]}]")
    if stride < 1:
        raise ShapeError(f"shift_conv got stride {stride}; it needs 1 or more")
    for what, other in (("weight", weight), ("bias", bias)):
        if other is None:
            continue
        if other.device != x.device:
            raise ShapeError(
                f"shift_conv got x on {x.device} and its {what} on {other.device}; move one of them"
            )
        if other.dtype != x.dtype:
            raise ShapeError(
                f"shift_conv got x as {x.dtype} and its {what} as {other.dtype}; convert one of them"
            )


def check_gradient(gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int) -> None:
    """The same for the gradients of both: `gradient` is that of the output."""
    check_conv(x, runs, weight, None, stride)
    size = size_of_output(x, weight, stride)
    if tuple(gradient.shape) != size or gradient.dtype != x.dtype or gradient.device != x.device:
        raise ShapeError(
            f"shift_conv_backward got a gradient {list(gradient.shape)} as {gradient.dtype} on "
            f"{gradient.device}; "
            f"the output was {list(size)} as {x.dtype} on {x.device}"
        )
