"""A network with fewer channels, and the weights that are left: exact, on the tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen.compress.wiring import Keep, Tensors, Wiring, is_depthwise, wire
from smidgen.graph import (
    Activation,
    BatchNorm,
    Combinator,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Leaf,
    Linear,
    Network,
    Node,
    Pool,
    Shift,
    leaves,
)
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_tensors
from smidgen.spec import ShapeError

__all__ = ["narrowed", "prune"]


def prune(network: Network, tensors: Tensors, keep: Keep) -> tuple[Network, dict[str, NDArray[Any]]]:
    """Take channels out of a network and out of its weights.

    The outputs are those of the whole network that reads zeros wherever it reads these channels.

    tensors  by their state-dict names; what this lacks, such as a new head, the result lacks too
    keep     bool[channels], numbered as in `wire(network)`; where all stay, so do network and arrays
    Raises   ShapeError where nothing is left of a group, or a channel goes that belongs to none.
    """
    wiring = wire(network)
    _require(network, wiring, keep)
    return narrowed(network, wiring, keep), _sliced(network, tensors, wiring, keep)


def narrowed(network: Network, wiring: Wiring, keep: Keep) -> Network:
    """The network alone, without a look at its weights; arguments as for `prune`."""
    if keep.all():
        return network
    stays = {path: keep[channels] for path, channels in wiring.ins.items()}
    made = {path: int(keep[channels].sum()) for path, channels in wiring.outs.items()}
    return dataclasses.replace(network, tree=_Narrowing(stays, made).node(network.tree, ""))


@dataclasses.dataclass(frozen=True, slots=True)
class _Narrowing:
    """What is left of each leaf, by dotted name: which of its inputs, and how many outputs."""

    ins: Mapping[str, Keep]
    outs: Mapping[str, int]

    def node(self, node: Node, path: str) -> Node:
        """The node with fewer channels; the same object where none goes, which keeps costing quick."""
        if not isinstance(node, Combinator):
            leaf = self._leaf(node, path)
            return node if leaf == node else leaf
        children = tuple((name, self.node(child, join(path, name))) for name, child in node.children)
        same = all(new is old for (_, new), (_, old) in zip(children, node.children, strict=True))
        return node if same else dataclasses.replace(node, children=children)

    def _leaf(self, leaf: Leaf, path: str) -> Leaf:
        stays, made = self.ins[path], self.outs[path]
        read = int(stays.sum())
        match leaf:
            case Conv():
                groups = read if is_depthwise(leaf) else leaf.groups
                return dataclasses.replace(leaf, c_in=read, c_out=made, groups=groups)
            case Linear():
                return dataclasses.replace(leaf, c_in=read, c_out=made)
            case BatchNorm():
                return dataclasses.replace(leaf, channels=read)
            case Shift(runs=runs):
                return Shift(_shorter(runs, stays))
            case Activation() | Dropout() | Pool() | GlobalPool() | Flatten():
                return leaf
            case _:
                assert_never(leaf)


def _shorter(runs: tuple[tuple[int, int, int], ...], stays: Keep) -> tuple[tuple[int, int, int], ...]:
    """Runs of a shift without the channels that go; a run that loses all of them is gone."""
    ends = np.cumsum([count for count, _, _ in runs])
    counts = [int(part.sum()) for part in np.split(stays, ends[:-1])]
    return tuple((count, dy, dx) for count, (_, dy, dx) in zip(counts, runs, strict=True) if count)


def _sliced(network: Network, tensors: Tensors, wiring: Wiring, keep: Keep) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for path, leaf in leaves(network.tree):
        read, made = keep[wiring.ins[path]], keep[wiring.outs[path]]
        for name, shape, _ in leaf_tensors(leaf):
            whole = tensors.get(join(path, name))
            if whole is not None:
                found[join(path, name)] = _left(
                    whole, made, read if _mixes(leaf) and len(shape) > 1 else None
                )
    return found


def _mixes(leaf: Leaf) -> bool:
    """Whether the second axis of its weight is that of its inputs."""
    return isinstance(leaf, Linear) or (isinstance(leaf, Conv) and leaf.groups == 1)


def _left(whole: NDArray[Any], made: Keep, read: Keep | None) -> NDArray[Any]:
    """What is left of a tensor; itself where that is all of it."""
    if whole.ndim and not made.all():
        whole = whole[made]
    if read is not None and not read.all():
        whole = np.ascontiguousarray(whole[:, read])
    return whole


def _require(network: Network, wiring: Wiring, keep: Keep) -> None:
    """Raise ShapeError unless these channels can stay and the others go."""
    if keep.shape != (wiring.count,):
        raise ShapeError(f"{network.name} has {wiring.count} channels; it was told of {len(keep)}")
    fixed = np.ones(wiring.count, bool)
    for group in wiring.groups:
        fixed[group.channels] = False
        if not keep[group.channels].any():
            raise ShapeError(f"{network.name}: nothing would be left of what {group.makers[0]} makes")
    if not keep[fixed].all():
        gone = int(np.flatnonzero(fixed & ~keep)[0])
        raise ShapeError(
            f"{network.name}: channel {gone} is fixed by the input, the output or a grouped convolution"
        )
