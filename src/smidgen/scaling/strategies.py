"""SqueezeNet's three strategies, each turned on its own while the rest stays SqueezeNet 1.0.

Source   Iandola et al. 2016, arXiv:1602.07360, section 3.1; ranges of sections 5.2 and 5.3
"""

from __future__ import annotations

from typing import Any, NamedTuple

from smidgen import families
from smidgen.graph import Conv, Network, layers

__all__ = ["POOLS", "RATIOS", "SHARES", "Outcome", "outcome", "sides"]

SHARES = (0.01, 0.125, 0.25, 0.5, 0.75, 0.99)  # of the expand filters that are 3x3
RATIOS = (0.125, 0.25, 0.5, 0.75, 1.0)  # of squeeze filters to expand filters

# Fire modules that a pool follows, 0 being the stem, from the earliest to the latest.
POOLS = {"early": (0, 1, 2), "as in 1.1": (0, 2, 4), "as in 1.0": (0, 3, 7), "late": (2, 5, 8)}


class Outcome(NamedTuple):
    """What one setting costs.

    mean_side        mean side of the maps that the Fire modules make
    receptive_field  side of the square of the picture that one value of the last map sees
    """

    network: Network
    params: int
    macs: int
    peak_bytes: int
    mean_side: float
    receptive_field: int


def outcome(**options: Any) -> Outcome:
    """The design space's network with these options, 224 pixels, 1000 classes."""
    network = families.network("squeezenet_design", **options)
    cost, made = network.cost(), sides(network)[1:]
    last = [layer for layer in layers(network.tree, network.input) if isinstance(layer.node, Conv)][-1]
    mean = sum(made) / len(made)
    return Outcome(network, cost.params, cost.macs, cost.peak_bytes, mean, last.receptive_field[0])


def sides(network: Network) -> list[int]:
    """Side of the map that the stem makes, then of each Fire module's."""
    found = layers(network.tree, network.input)
    return [
        layer.out.height for layer in found if layer.path == "features.0" or layer.path.endswith(".expand3x3")
    ]
