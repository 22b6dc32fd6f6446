"""Which channels are one channel: what makes them, what carries them on, and what reads them.

A walk over the tree gives every channel a number. Where a tree needs two of them to go together (the branches
of a sum, a gate and what it multiplies, the two sides of a depthwise convolution), they get one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen.compress.trunk import blocks, has_trunk
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Children,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Leaf,
    Linear,
    Network,
    Node,
    Pool,
    Shift,
    Sum,
)
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_cost
from smidgen.spec import Shape

__all__ = ["Group", "Keep", "Numbers", "Tensors", "Wiring", "is_depthwise", "wire"]

Numbers: TypeAlias = NDArray[np.int64]
Keep: TypeAlias = NDArray[np.bool_]  # of each channel, whether it stays
Tensors: TypeAlias = Mapping[str, NDArray[Any]]  # by their state-dict names


class Group(NamedTuple):
    """Channels of one kind: the same convolutions make them. Each may go or stay by itself.

    makers    dotted names of those convolutions
    channels  int64[n], numbers of the channels, ascending
    inner     nothing outside one block of the trunk makes or reads them
    """

    makers: tuple[str, ...]
    channels: Numbers
    inner: bool


@dataclass(frozen=True, slots=True)
class Wiring:
    """The channels of a network, numbered from 0.

    count   how many there are
    ins     dotted name of each leaf -> numbers of the channels that come in; behind a Flatten they repeat
    outs    dotted name of each leaf -> numbers of the channels that it gives
    groups  those that may be pruned; the others reach the input, the output, or a convolution in groups
    """

    count: int
    ins: Mapping[str, Numbers]
    outs: Mapping[str, Numbers]
    groups: tuple[Group, ...]


def is_depthwise(conv: Conv) -> bool:
    """Whether every channel is convolved by itself."""
    return 1 < conv.groups == conv.c_in == conv.c_out


def wire(network: Network) -> Wiring:
    """Number the channels of a network. Raises ShapeError where its tree does not take its pictures."""
    walk = _Walk()
    given = walk.fresh(network.input.channels)
    end = walk.visit(network.tree, "", _Map(network.input, given))
    walk.fixed += [given, end.channels]
    number = walk.numbers()
    count = int(number.max()) + 1
    ins = {path: number[old] for path, old in walk.ins.items()}
    outs = {path: number[old] for path, old in walk.outs.items()}
    free = np.ones(count, bool)
    for old in walk.fixed:
        free[number[old]] = False
    makers = [path for path in outs if path in walk.makers]
    return Wiring(count, ins, outs, _groups(network, ins, outs, makers, free))


class _Map(NamedTuple):
    """A map on its way: its shape, and the channels that it has."""

    shape: Shape
    channels: Numbers


class _Walk:
    """One walk over a tree.

    makers  dotted names of the leaves whose outputs are new channels
    fixed   channels that stay whatever comes
    """

    def __init__(self) -> None:
        self._root: list[int] = []
        self.ins: dict[str, Numbers] = {}
        self.outs: dict[str, Numbers] = {}
        self.makers: set[str] = set()
        self.fixed: list[Numbers] = []

    def fresh(self, count: int) -> Numbers:
        """New channels."""
        first = len(self._root)
        self._root += range(first, first + count)
        return np.arange(first, first + count)

    def numbers(self) -> Numbers:
        """Of each channel that was ever new, the number that it has in the end."""
        roots = np.array([self._find(one) for one in range(len(self._root))])
        return np.unique(roots, return_inverse=True)[1]

    def visit(self, node: Node, path: str, x: _Map) -> _Map:
        match node:
            case Chain(children=children):
                return self._chain(children, path, x)
            case Sum(children=children):
                first, *others = self._branches(children, path, x)
                for other in others:
                    self._unite(first.channels, other.channels)
                return first
            case Gate(children=children):
                self._unite(x.channels, self._chain(children, path, x).channels)
                return x
            case Concat(children=children):
                branches = self._branches(children, path, x)
                channels = np.concatenate([branch.channels for branch in branches])
                return _Map(branches[0].shape._replace(channels=len(channels)), channels)
            case _:
                return self._leaf(node, path, x)

    def _chain(self, children: Children, path: str, x: _Map) -> _Map:
        for name, child in children:
            x = self.visit(child, join(path, name), x)
        return x

    def _branches(self, children: Children, path: str, x: _Map) -> list[_Map]:
        return [self.visit(child, join(path, name), x) for name, child in children]

    def _leaf(self, leaf: Leaf, path: str, x: _Map) -> _Map:
        out = self._through(leaf, path, x)
        self.ins[path], self.outs[path] = x.channels, out
        return _Map(leaf_cost(leaf, x.shape).out, out)

    def _through(self, leaf: Leaf, path: str, x: _Map) -> Numbers:
        """Channels behind a leaf."""
        match leaf:
            case Conv():
                return x.channels if is_depthwise(leaf) else self._mixed(leaf, path, x)
            case Linear():
                return self._made(leaf.c_out, path)
            case Flatten():
                return np.repeat(x.channels, x.shape.height * x.shape.width)
            case BatchNorm() | Activation() | Dropout() | Shift() | Pool() | GlobalPool():
                return x.channels
            case _:
                assert_never(leaf)

    def _mixed(self, conv: Conv, path: str, x: _Map) -> Numbers:
        made = self._made(conv.c_out, path)
        if conv.groups > 1:
            self.fixed += [x.channels, made]
        return made

    def _made(self, count: int, path: str) -> Numbers:
        self.makers.add(path)
        return self.fresh(count)

    def _unite(self, some: Numbers, others: Numbers) -> None:
        for one, other in zip(some.tolist(), others.tolist(), strict=True):
            low, high = sorted((self._find(one), self._find(other)))
            self._root[high] = low

    def _find(self, one: int) -> int:
        while self._root[one] != one:
            self._root[one] = one = self._root[self._root[one]]
        return one


def _groups(
    network: Network,
    ins: Mapping[str, Numbers],
    outs: Mapping[str, Numbers],
    makers: list[str],
    free: NDArray[np.bool_],
) -> tuple[Group, ...]:
    """Free channels, put together by their makers, in the order in which they are made."""
    made_by: dict[int, list[str]] = defaultdict(list)
    for path in makers:
        for channel in outs[path].tolist():
            if free[channel]:
                made_by[channel].append(path)
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for channel, paths in sorted(made_by.items()):
        found[tuple(paths)].append(channel)
    inner = _inner(network, ins, outs, len(free))
    return tuple(
        Group(tuple(dict.fromkeys(paths)), np.array(channels), bool(inner[channels].all()))
        for paths, channels in found.items()
    )


def _inner(
    network: Network, ins: Mapping[str, Numbers], outs: Mapping[str, Numbers], count: int
) -> NDArray[np.bool_]:
    """Whether each channel stays inside one block of the trunk."""
    paths = [block.path for block in blocks(network)] if has_trunk(network) else []
    first, last = np.full(count, len(paths)), np.full(count, -1)
    for side in (ins, outs):
        for path, channels in side.items():
            where = next(
                (i for i, block in enumerate(paths) if f"{path}.".startswith(f"{block}.")), len(paths)
            )
            first[channels] = np.minimum(first[channels], where)
            last[channels] = np.maximum(last[channels], where)
    inside: NDArray[np.bool_] = (first == last) & (last < len(paths))
    return inside
