"""What the field calls an operation: the words in the boxes."""

from __future__ import annotations

import math

from smidgen.graph.nodes import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    GlobalPool,
    Leaf,
    Pool,
    Shift,
)
from smidgen.spec import Shape

__all__ = ["compact", "is_depthwise", "leaf_name", "map_size", "ratio", "sentence", "stride_of"]

# Activations that are not written as they are called.
_ACTIVATIONS = {"relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU"}
_POOLS = {"max": "max pool", "avg": "average pool"}


def leaf_name(leaf: Leaf) -> str:
    """Name of one operation, without stride and channels: `3x3 conv`, `5x5 depthwise`, `BN`, `SiLU`."""
    match leaf:
        case Conv():
            return _conv_name(leaf)
        case BatchNorm():
            return "BN"
        case Activation(kind=kind):
            return _ACTIVATIONS.get(kind, kind)
        case Dropout(p=p):
            return f"dropout {p:g}"
        case Shift():
            return f"shift {_reach(leaf)}"
        case Pool(kind=kind, kernel=kernel):
            return f"{kernel}x{kernel} {_POOLS[kind]}"
        case GlobalPool():
            return "global average pool"
        case _:
            return type(leaf).__name__.lower()


def stride_of(leaf: Leaf) -> int:
    """Stride of a convolution or pool; 1 for all else."""
    return leaf.stride if isinstance(leaf, Conv | Pool) else 1


def is_depthwise(conv: Conv) -> bool:
    """Whether every channel is filtered on its own."""
    return conv.groups > 1 and conv.groups == conv.c_in


def map_size(shape: Shape) -> str:
    """`56x56`, or nothing for flat features."""
    return "" if shape.flat else f"{shape.height}x{shape.width}"


def ratio(value: float) -> str:
    """A factor with as few digits as it needs, two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def compact(count: int) -> str:
    """Three significant digits and a prefix: `864`, `9.41 k`, `385 M`."""
    value, prefix = float(count), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, prefix = value / 1000, larger
    if not prefix:
        return str(count)
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f} {prefix}"


def sentence(text: str) -> str:
    """`text` with a capital first letter."""
    return text[:1].upper() + text[1:]


def _conv_name(conv: Conv) -> str:
    name = f"{conv.kernel}x{conv.kernel} "
    if is_depthwise(conv):
        name += "depthwise"
    else:
        name += "conv" if conv.groups == 1 else f"conv in {conv.groups} groups"
    return name if conv.dilation == 1 else f"{name}, dilated {conv.dilation}"


def _reach(shift: Shift) -> str:
    """Window around the pixel that the offsets span: `3x3`, or `3x3, dilated 2`."""
    rows, columns = [abs(dy) for _, dy, _ in shift.runs], [abs(dx) for _, _, dx in shift.runs]
    step = max(math.gcd(*rows, *columns), 1)
    window = "x".join(str(2 * max(values) // step + 1) for values in (rows, columns))
    return window if step == 1 else f"{window}, dilated {step}"
