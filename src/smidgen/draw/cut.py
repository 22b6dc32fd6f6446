"""The tree cut into what a reader calls blocks."""

from __future__ import annotations

import dataclasses

from smidgen.draw.patterns import Step
from smidgen.draw.recognise import norm_unit, recognise
from smidgen.draw.terms import leaf_name
from smidgen.draw.units import Unit
from smidgen.graph.cost import cost, is_identity, output_shape
from smidgen.graph.layers import join
from smidgen.graph.nodes import (
    Activation,
    BatchNorm,
    Chain,
    Dropout,
    Flatten,
    Leaf,
    Node,
)
from smidgen.spec import Shape

__all__ = ["units"]


def units(tree: Node, x: Shape) -> tuple[Unit, ...]:
    """Blocks of `tree` on input shape `x`, in order; together they have all its params and MACs."""
    return tuple(_cut(tree, x, "", False))


# ── cutting ──────────────────────────────────────────────────────────────────────────────────────


def _cut(node: Node, x: Shape, path: str, in_chain: bool) -> list[Unit]:
    if in_chain and is_identity(node):
        return [Unit(path, "identity", "ghost", x, x, 0, 0, channels=False)]
    whole = recognise(node, x, path)
    if whole is not None:
        return [whole]
    assert isinstance(node, Chain), "every other node is recognised"
    found: list[Unit] = []
    waiting: tuple[str, ...] = ()  # dropout belongs to the layer that follows it
    for name, child in node.children:
        if isinstance(child, Dropout):
            waiting = (*waiting, leaf_name(child)) if child.p else waiting
        elif isinstance(child, BatchNorm | Activation | Flatten) and found:
            found[-1:] = _absorb(found[-1], child, x, join(path, name))
        elif not isinstance(child, Flatten):
            more = _cut(child, x, join(path, name), True)
            if more and waiting:
                more[0] = dataclasses.replace(more[0], details=(*more[0].details, *waiting))
                waiting = ()
            found += more
        x = output_shape(child, x)
    return _as_stage(found, path)


def _as_stage(found: list[Unit], path: str) -> list[Unit]:
    """Mark the units as one stage where they are blocks that are all alike."""
    if len(found) < 2 or len({unit.alike for unit in found}) > 1:
        return found
    if any(unit.stride > 1 for unit in found[1:]) or len({unit.skip for unit in found[1:]}) > 1:
        return found
    return [dataclasses.replace(unit, stage=path or "whole") for unit in found]


def _absorb(unit: Unit, leaf: Leaf, x: Shape, path: str) -> list[Unit]:
    """Put a norm or activation into the unit before it; after a block a norm is a unit of its own."""
    added = cost(leaf, x)
    if isinstance(leaf, Flatten):
        return [dataclasses.replace(unit, out=output_shape(leaf, x))]
    if unit.kind in ("conv", "head"):
        details = (*unit.details, leaf_name(leaf))
        return [dataclasses.replace(unit, details=details, params=unit.params + added.params)]
    if isinstance(leaf, Activation):
        return [unit]  # part of how the block is known
    return [unit, norm_unit(Step(leaf), x, path)]
