"""The trunk of a network: the chain `features`, and the blocks that it consists of."""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from smidgen.graph import Activation, Chain, Children, Combinator, Conv, Leaf, Network, Node, Sum, leaves
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


def opened(block: Node) -> Chain | None:
    """A block without the projection that it ends with, and without its residual; None where it has none.

    A projection is a last part that no activation follows, behind other parts: of an MBConv, the 1x1
    convolution that narrows what the depthwise one has made.
    """
    name, body = _body(block)
    if body is None or len(body.children) < 2 or not _is_projection(body.children[-1][1]):
        return None
    return Chain(((name, Chain(body.children[:-1])),))


def _body(block: Node) -> tuple[str, Chain | None]:
    """The one branch of a block that is no identity, with its name."""
    if isinstance(block, Chain | Sum):
        branches = [(name, child) for name, child in block.children if child != Chain()]
        if len(branches) == 1 and branches[0][0] and isinstance(branches[0][1], Chain):
            return branches[0][0], branches[0][1]
    return "", None


def _is_projection(part: Node) -> bool:
    kinds = [leaf for _, leaf in leaves(part)] if isinstance(part, Chain) else []
    return any(isinstance(leaf, Conv) for leaf in kinds) and not any(
        isinstance(leaf, Activation) for leaf in kinds
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


def _trunk(network: Network) -> Chain | None:
    if isinstance(network.tree, Chain):
        for name, node in network.tree.children:
            if name == TRUNK and isinstance(node, Chain):
                return node
    return None
