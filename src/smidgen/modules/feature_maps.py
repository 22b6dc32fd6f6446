"""The maps inside a network, for detection, segmentation and looking at them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from torch import Tensor, nn

from smidgen import graph
from smidgen.modules.tree import Child, Runnable, Series, TreeModule
from smidgen.spec import ShapeError

__all__ = ["feature_maps"]


class _Stage(NamedTuple):
    owner: TreeModule
    step: Runnable
    node: graph.Node


def feature_maps(model: nn.Module, x: Tensor) -> dict[int, Tensor]:
    """Last map of the trunk at each stride, up to the global pool.

    A stage (a chain that strides at most once) counts as a whole, so the maps are those between stages:
    narrow where a block would widen its input before it strides.

    x        float[N, C, H, W]
    returns  stride -> float[N, c, h, w], h about H / stride, in the order of the network
    Raises   ShapeError for a module that was not built from a tree.
    """
    if not isinstance(model, TreeModule):
        raise ShapeError(f"feature_maps needs a module built from a tree, not a {type(model).__name__}")
    maps: dict[int, Tensor] = {}
    stride = 1
    trunk = _stages(_Stage(model, model._step, model.node), depth=0)
    for stage in takewhile(lambda stage: not _flattens(stage.node), trunk):
        x = stage.step(stage.owner, x)
        stride *= _stride(stage.node)
        maps[stride] = x
    return maps


def _stages(stage: _Stage, depth: int) -> Iterator[_Stage]:
    """Take the trunk apart: its two outer levels, and deeper where a chain strides twice."""
    owner, step, node = stage
    outer = depth == 0 or (depth == 1 and not _flattens(node))
    if not (isinstance(node, graph.Chain) and (outer or _strided(node) > 1)):
        yield stage
        return
    if isinstance(step, Child):
        owner = getattr(owner, step.name)
        step = owner._step
    assert isinstance(step, Series)
    for inner, (_, child) in zip(step.steps, node.children, strict=True):
        yield from _stages(_Stage(owner, inner, child), depth + 1)


def _stride(node: graph.Node) -> int:
    """Input pixels between neighbours of the output."""
    match node:
        case graph.Conv(stride=stride) | graph.Pool(stride=stride):
            return stride
        case graph.Chain(children=children):
            return math.prod(_stride(child) for _, child in children)
        case graph.Sum(children=children) | graph.Concat(children=children):
            return max(_stride(child) for _, child in children)
        case _:
            return 1


def _strided(node: graph.Node) -> int:
    """Number of strides on the way through the node."""
    if isinstance(node, graph.Chain):
        return sum(_strided(child) for _, child in node.children)
    return int(_stride(node) > 1)


def _flattens(node: graph.Node) -> bool:
    """Whether no map comes out, but one value a channel."""
    if isinstance(node, graph.Chain):
        return any(_flattens(child) for _, child in node.children)
    return isinstance(node, graph.GlobalPool | graph.Flatten | graph.Linear)
