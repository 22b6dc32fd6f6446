"""The tree cut into what a reader calls blocks."""

from __future__ import annotations

import dataclasses

from smidgen.draw.blocks import Block
from smidgen.draw.patterns import Operation
from smidgen.draw.recognise import norm_block, recognise
from smidgen.draw.terms import leaf_name
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

__all__ = ["blocks"]


def blocks(tree: Node, x: Shape) -> tuple[Block, ...]:
    """Blocks of `tree` on input shape `x`, in order; together they have all its params and MACs."""
    return tuple(_cut(tree, x, "", False))


# ── cutting ──────────────────────────────────────────────────────────────────────────────────────


def _cut(node: Node, x: Shape, path: str, in_chain: bool) -> list[Block]:
    if in_chain and is_identity(node):
        return [Block(path, "identity", "ghost", x, x, 0, 0, channels=False)]
    whole = recognise(node, x, path)
    if whole is not None:
        return [whole]
    assert isinstance(node, Chain), "every other node is recognised"
    found: list[Block] = []
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


def _as_stage(found: list[Block], path: str) -> list[Block]:
    """Mark the blocks as one stage where they are all alike."""
    if len(found) < 2 or len({block.alike for block in found}) > 1:
        return found
    if any(block.stride > 1 for block in found[1:]) or len({block.skip for block in found[1:]}) > 1:
        return found
    return [dataclasses.replace(block, stage=path or "whole") for block in found]


def _absorb(block: Block, leaf: Leaf, x: Shape, path: str) -> list[Block]:
    """Put a norm or activation into the convolution before it; elsewhere a norm is a block of its own."""
    added = cost(leaf, x)
    if isinstance(leaf, Flatten):
        return [dataclasses.replace(block, out=output_shape(leaf, x))]
    if block.kind in ("conv", "head"):
        details = (*block.details, leaf_name(leaf))
        return [dataclasses.replace(block, details=details, params=block.params + added.params)]
    if isinstance(leaf, Activation):
        return [block]  # part of how the block is known
    return [block, norm_block(Operation(leaf), x, path)]
