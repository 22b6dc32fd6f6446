"""A part of a network by its dotted path, and the shape that reaches it."""

from __future__ import annotations

from smidgen.draw.cut import blocks
from smidgen.graph.cost import output_shape
from smidgen.graph.layers import join
from smidgen.graph.network import Network
from smidgen.graph.nodes import Chain, Combinator, Gate, Node
from smidgen.spec import Shape, UnknownNameError, closest

__all__ = ["locate"]


def locate(network: Network, path: str) -> tuple[Node, Shape]:
    """Node at `path`, as in the state dict (`features.3.0`), and its input shape: what `block` draws.

    The outermost node is meant where several share a path; "" is the whole tree.
    Raises   UnknownNameError where nothing has that path.
    """
    found = _find(network.tree, network.input, "", path)
    if found is None:
        known = [block.path for block in blocks(network.tree, network.input)]
        hint = closest(path, known)
        raise UnknownNameError(f"no '{path}' in {network.name}; {hint}its blocks are {', '.join(known)}")
    return found


def _find(node: Node, x: Shape, here: str, path: str) -> tuple[Node, Shape] | None:
    if here == path:
        return node, x
    if not isinstance(node, Combinator) or (here and not path.startswith(f"{here}.")):
        return None
    for name, child in node.children:
        below = join(here, name)
        found = _find(child, x, below, path)
        if found is not None:
            return found
        if isinstance(node, Chain | Gate):
            x = output_shape(child, x)
    return None
