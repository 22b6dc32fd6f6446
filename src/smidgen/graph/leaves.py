"""What one leaf does to a shape and what it costs: the only place where anything is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from smidgen.graph.nodes import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Leaf,
    Linear,
    Pool,
    Shift,
    pad,
)
from smidgen.spec import Shape, ShapeError

__all__ = ["LeafCost", "has_no_window", "leaf_cost", "leaf_tensors", "sides", "works_in_place"]


_IN_PLACE = (BatchNorm, Activation, Dropout, Flatten)


class LeafCost(NamedTuple):
    """Cost of one leaf at one input shape; the fields are those of `spec.Cost`."""

    out: Shape
    params: int = 0
    buffers: int = 0
    macs: int = 0
    elementwise: int = 0


def has_no_window(conv: Conv) -> bool:
    """Whether it looks at single pixels, and none of them is padding."""
    return conv.kernel == 1 and conv.padding in ("same", pad(0))


def works_in_place(leaf: Leaf) -> bool:
    """Whether the leaf may overwrite its input, by the definition of `peak_bytes`."""
    return isinstance(leaf, _IN_PLACE)


def leaf_cost(leaf: Leaf, x: Shape) -> LeafCost:
    """Cost of `leaf` on input shape `x`.

    Raises   ShapeError where the leaf cannot take this shape.
    """
    match leaf:
        case Conv():
            return _conv(leaf, x)
        case BatchNorm(channels=channels):
            _require(leaf, x, channels)
            _require_map(leaf, x)
            # Running mean, running variance and the number of batches seen.
            return LeafCost(x, params=2 * channels, buffers=2 * channels + 1, elementwise=x.numel)
        case Activation():
            return LeafCost(x, elementwise=x.numel)
        case Dropout():
            return LeafCost(x)
        case Shift(runs=runs):
            _require(leaf, x, sum(count for count, _, _ in runs))
            _require_map(leaf, x)
            return LeafCost(x)
        case Pool():
            return _pool(leaf, x)
        case GlobalPool():
            _require_map(leaf, x)
            return LeafCost(Shape(x.channels), elementwise=x.numel)
        case Flatten():
            return LeafCost(Shape(x.numel, flat=True))
        case Linear(c_in=c_in, c_out=c_out, bias=bias):
            if not x.flat:
                raise ShapeError(f"Linear takes flat features, not a map of {x}; put a Flatten before it")
            _require(leaf, x, c_in)
            macs = c_in * c_out
            return LeafCost(Shape(c_out, flat=True), params=macs + bias * c_out, macs=macs)
        case _:
            assert_never(leaf)


def sides(leaf: Conv, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below, columns left and right, that a convolution pads maps of this size with."""
    if leaf.padding != "same":
        return leaf.padding

    def both(size: int) -> tuple[int, int]:
        reach = leaf.dilation * (leaf.kernel - 1) + 1
        total = max((-(-size // leaf.stride) - 1) * leaf.stride + reach - size, 0)
        return total // 2, total - total // 2

    return both(height), both(width)


def leaf_tensors(leaf: Leaf) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Tensors of one leaf in state-dict order: name, shape, and whether it is trained."""
    match leaf:
        case Conv():
            yield "weight", (leaf.c_out, leaf.c_in // leaf.groups, leaf.kernel, leaf.kernel), True
            if leaf.bias:
                yield "bias", (leaf.c_out,), True
        case Linear():
            yield "weight", (leaf.c_out, leaf.c_in), True
            if leaf.bias:
                yield "bias", (leaf.c_out,), True
        case BatchNorm():
            for name in ("weight", "bias"):
                yield name, (leaf.channels,), True
            for name in ("running_mean", "running_var"):
                yield name, (leaf.channels,), False
            yield "num_batches_tracked", (), False
        case Activation() | Dropout() | Shift() | Pool() | GlobalPool() | Flatten():
            return
        case _:
            assert_never(leaf)


def _conv(leaf: Conv, x: Shape) -> LeafCost:
    _require(leaf, x, leaf.c_in)
    _require_map(leaf, x)
    if leaf.padding == "same":
        height, width = -(-x.height // leaf.stride), -(-x.width // leaf.stride)
    else:
        reach = leaf.dilation * (leaf.kernel - 1) + 1
        (top, bottom), (left, right) = leaf.padding
        height = (x.height + top + bottom - reach) // leaf.stride + 1
        width = (x.width + left + right - reach) // leaf.stride + 1
    _require_positive(leaf, x, height, width)
    weights = leaf.kernel * leaf.kernel * (leaf.c_in // leaf.groups) * leaf.c_out
    out = Shape(leaf.c_out, height, width)
    return LeafCost(out, params=weights + leaf.bias * leaf.c_out, macs=weights * height * width)


def _pool(leaf: Pool, x: Shape) -> LeafCost:
    _require_map(leaf, x)
    height, width = _pooled(leaf, x.height), _pooled(leaf, x.width)
    _require_positive(leaf, x, height, width)
    out = Shape(x.channels, height, width)
    return LeafCost(out, elementwise=out.numel * leaf.kernel * leaf.kernel)


def _pooled(leaf: Pool, size: int) -> int:
    room = size + 2 * leaf.padding - leaf.kernel
    if not leaf.ceil_mode:
        return room // leaf.stride + 1
    # A window that would start in the right padding is dropped, as torch does.
    out = -(-room // leaf.stride) + 1
    return out - 1 if (out - 1) * leaf.stride >= size + leaf.padding else out


def _require(leaf: Leaf, x: Shape, channels: int) -> None:
    if x.channels != channels:
        raise ShapeError(f"{type(leaf).__name__} takes {channels} channels, not the {x.channels} of {x}")


def _require_map(leaf: Leaf, x: Shape) -> None:
    if x.flat:
        raise ShapeError(f"{type(leaf).__name__} takes a map, not {x} flat features")


def _require_positive(leaf: Conv | Pool, x: Shape, height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ShapeError(f"{type(leaf).__name__} with kernel {leaf.kernel} leaves nothing of a map of {x}")
