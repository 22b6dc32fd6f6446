"""The nodes of a network: nine operations and four ways to combine them.

A tree of these frozen values is the only description of a network. Costs, shapes, drawings, torch
modules and files are folds over it. Children carry the names that the torch attributes will have;
the name "" adds no level, so its children live in the parent's namespace.

Both unions are closed: every fold ends in `assert_never`, so that a forgotten node is a type error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Activation",
    "ActivationKind",
    "BatchNorm",
    "Chain",
    "Children",
    "Combinator",
    "Concat",
    "Conv",
    "Dropout",
    "Flatten",
    "Gate",
    "GlobalPool",
    "Init",
    "Leaf",
    "Linear",
    "Node",
    "Padding",
    "Pool",
    "PoolKind",
    "Shift",
    "Sum",
    "pad",
]

# In the order of `enum smidgen_activation` in native/smidgen.h.
ActivationKind: TypeAlias = Literal["relu", "relu6", "silu", "sigmoid"]
PoolKind: TypeAlias = Literal["max", "avg"]

# ((top, bottom), (left, right)), or TensorFlow's SAME, which depends on the input size.
Padding: TypeAlias = tuple[tuple[int, int], tuple[int, int]] | Literal["same"]

# How a leaf draws its weights; `modules.init` has the formula and the source of each.
Init: TypeAlias = Literal[
    "torch", "fan_out", "fan_out_ungrouped", "he_uniform", "xavier_uniform", "normal_01", "uniform_fan_out"
]


def pad(amount: int) -> Padding:
    """Symmetric padding by the same amount on all four sides."""
    return ((amount, amount), (amount, amount))


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution with a square kernel; bias is off unless asked for."""

    c_in: int
    c_out: int
    kernel: int = 1
    stride: int = 1
    padding: Padding = ((0, 0), (0, 0))
    dilation: int = 1
    groups: int = 1
    bias: bool = False
    init: Init = "torch"


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation; `momentum` is torch's (weight of the new batch)."""

    channels: int
    eps: float = 1e-5
    momentum: float = 0.1


@dataclass(frozen=True, slots=True)
class Activation:
    """Elementwise non-linearity."""

    kind: ActivationKind


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout of single features with probability `p` while training."""

    p: float


@dataclass(frozen=True, slots=True)
class Shift:
    """Each run of `count` contiguous channels reads its neighbour at (dy, dx): no parameters, no MACs.

    y[h, w] = x[h + dy, w + dx], zero outside. Source: Wu et al. 2018, arXiv:1711.08141.
    """

    runs: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """Max or average pooling with a square window; both sides padded alike."""

    kind: PoolKind
    kernel: int
    stride: int
    padding: int = 0
    ceil_mode: bool = False
    count_include_pad: bool = True


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """Average over the whole map, whatever its size."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Channels and map become one axis of features."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer on flat features."""

    c_in: int
    c_out: int
    bias: bool = True
    init: Init = "torch"


@dataclass(frozen=True, slots=True)
class Chain:
    """One child after the other: x -> last(… first(x)). An empty chain is the identity."""

    children: Children = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of the branches. While training, a sample loses each branch but the identity with `drop_path`."""

    children: Children
    drop_path: float = 0.0


@dataclass(frozen=True, slots=True)
class Gate:
    """x times what the chain of children makes of x: squeeze-and-excitation."""

    children: Children


@dataclass(frozen=True, slots=True)
class Concat:
    """Branches side by side in channels."""

    children: Children


Leaf: TypeAlias = Conv | BatchNorm | Activation | Dropout | Shift | Pool | GlobalPool | Flatten | Linear
Combinator: TypeAlias = Chain | Sum | Gate | Concat
Node: TypeAlias = Leaf | Combinator
Children: TypeAlias = tuple[tuple[str, Node], ...]
