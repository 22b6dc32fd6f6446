"""From a network and its weights to its Program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from smidgen.graph import Network, nodes
from smidgen.program.fusing import fused
from smidgen.program.listing import Listing
from smidgen.program.program import Program
from smidgen.program.weights import Weights
from smidgen.spec import Shape

__all__ = ["lower"]


def lower(
    network: Network, weights: Mapping[str, NDArray[Any]] | Weights, shape: Shape | None = None
) -> Program:
    """The Program of a network for one picture: what every machine does, and nothing that only one does.

    weights  by state-dict name; `Weights` of them where several programs share what is made of them
    shape    of the picture; default: the network's own
    Raises   ShapeError where a node cannot take the shape that reaches it, ModelFileError where it asks for
             what nobody needs, or its weights make no numbers.
    """
    x = shape or network.input
    listing = Listing(x)
    answer, made = listing.visit(network.tree, "", 0, x)
    if made.height * made.width > 1:  # a map as the answer: in torch's order
        answer = listing.append("", nodes.Flatten(), (answer,), Shape(made.numel))
    elif answer == 0:
        answer = listing.append("", nodes.Dropout(0.0), (answer,), made)
    return fused(listing, answer, weights if isinstance(weights, Weights) else Weights(weights))
