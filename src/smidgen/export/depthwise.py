"""Shifts for runtimes that have none: depthwise convolutions whose kernels hold a single one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import Combinator, Conv, Network, Node, Shift, leaves, pad
from smidgen.graph.layers import join

__all__ = ["ShiftForm", "Tensors", "has_shifts", "without_shifts"]

# What an exporter makes of a shift.
ShiftForm = Literal["slices", "depthwise"]

Tensors: TypeAlias = Mapping[str, NDArray[Any]]  # by state-dict name


def has_shifts(network: Network) -> bool:
    """Whether any leaf is a shift."""
    return any(isinstance(leaf, Shift) for _, leaf in leaves(network.tree))


def without_shifts(network: Network, tensors: Tensors) -> tuple[Network, Tensors]:
    """A network and weights that answer alike, without any shift."""
    one_hot: dict[str, NDArray[np.float32]] = {}
    tree = _without(network.tree, "", one_hot)
    return replace(network, tree=tree), {**tensors, **one_hot}


def _without(node: Node, path: str, one_hot: dict[str, NDArray[np.float32]]) -> Node:
    if isinstance(node, Combinator):
        children = ((name, _without(child, join(path, name), one_hot)) for name, child in node.children)
        return replace(node, children=tuple(children))
    if not isinstance(node, Shift):
        return node
    reach = max(abs(offset) for _, dy, dx in node.runs for offset in (dy, dx))
    channels, kernel = sum(count for count, _, _ in node.runs), 2 * reach + 1
    weight = np.zeros((channels, 1, kernel, kernel), np.float32)
    first = 0
    for count, dy, dx in node.runs:
        weight[first : first + count, 0, reach + dy, reach + dx] = 1
        first += count
    one_hot[join(path, "weight")] = weight
    return Conv(channels, channels, kernel, padding=pad(reach), groups=channels)
