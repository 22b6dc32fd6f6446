"""The trunk of a network: the chain `features`, and the blocks that it consists of."""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from smidgen.graph import BatchNorm, Chain, Children, Combinator, Conv, Leaf, Network, Node, Sum, leaves
from smidgen.graph.layers import join
from smidgen.spec import SmidgenError

__all__ = ["TRUNK", "Block", "blocks", "has_trunk", "head", "is_stage", "opened", "trunk"]

TRUNK = "features"


class Block(NamedTuple):
    """What is kept or left out as a whole.

    path    dotted name
    child   index of the trunk's child that it is, or belongs to
    number  which of that child's blocks it is, from 1; 1 where the child is no stage
    """

    path: str
    node: Node
    child: int
    number: int


def has_trunk(network: Network) -> bool:
    """Whether a part of it is called the trunk."""
    return _trunk(network) is not None


def trunk(network: Network) -> Children:
    """Children of the trunk. Raises SmidgenError where the network has none."""
    found = _trunk(network)
    if found is None:
        raise SmidgenError(f"{network.name} has no chain '{TRUNK}', so there is nothing to cut it after")
    return found.children


def head(network: Network) -> list[Leaf]:
    """Leaves that do not belong to the trunk."""
    return [leaf for path, leaf in leaves(network.tree) if path.partition(".")[0] != TRUNK]


def is_stage(node: Node) -> TypeGuard[Chain]:
    """Whether it is a chain of blocks, not a block itself."""
    return (
        isinstance(node, Chain)
        and bool(node.children)
        and all(name and isinstance(child, Combinator) for name, child in node.children)
    )


def blocks(network: Network) -> list[Block]:
    """Blocks of the trunk in order. Raises SmidgenError where the network has no trunk."""
    found: list[Block] = []
    for child, (name, node) in enumerate(trunk(network)):
        parts = node.children if is_stage(node) else (("", node),)
        found += [
            Block(join(join(TRUNK, name), inner), block, child, number)
            for number, (inner, block) in enumerate(parts, 1)
        ]
    return found


def opened(block: Node) -> Chain | None:
    """The block without its projection, so that it ends with its widest channels; None where it has none.

    A projection is a 1x1 convolution to fewer channels at the end of the block, with no activation behind it.
    What bypasses the block goes too, where that is the identity; where it has layers, the block stays closed,
    as does one whose last convolution is larger (ResNet) or is activated (Fire). Names stay.
    """
    match block:
        case Sum(children=((_, Chain(children=())), (name, body))) | Chain(children=((name, body),)):
            inner = opened(body)
            return Chain(((name, inner),)) if inner else None
        case Chain(children=(*first, (_, last))) if _projects(last):
            return Chain(tuple(first))
        case _:
            return None


def _projects(node: Node) -> bool:
    """Whether it is a convolution that mixes each pixel's channels to fewer, and nothing but its norm."""
    match [leaf for _, leaf in leaves(node)]:
        case [Conv(kernel=1, groups=1) as conv] | [Conv(kernel=1, groups=1) as conv, BatchNorm()]:
            return conv.c_out < conv.c_in
        case _:
            return False


def _trunk(network: Network) -> Chain | None:
    if isinstance(network.tree, Chain):
        for name, node in network.tree.children:
            if name == TRUNK and isinstance(node, Chain):
                return node
    return None
