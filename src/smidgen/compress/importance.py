"""How much each channel matters, and what its readers miss on average without it: told by the weights alone.

A channel matters by what its readers would miss: the root mean square of its value, times the L2 norm of the
weights that read it, their BatchNorm folded in. docs/compress.md has how well that does.

Sources   Li et al. 2017, arXiv:1608.08710, for norms of weights;
          Nagel et al. 2019, arXiv:1906.04721, for means that are put right without data
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.compress.moments import Floats, moments, norm_scale, weight
from smidgen.compress.wiring import Keep, Tensors, Wiring
from smidgen.graph import BatchNorm, Chain, Combinator, Conv, Linear, Network, Node, leaves
from smidgen.graph.layers import join

__all__ = ["importance", "made_good"]


def importance(network: Network, tensors: Tensors, wiring: Wiring) -> Floats:
    """How much every channel matters, in the units of what its readers make.

    tensors  by their state-dict names; a layer that they lack, such as a new head, reads all alike
    returns  float64[channels]
    """
    missed = np.zeros(wiring.count)
    norms, values = dict(_norms(network.tree, "")), moments(network, tensors, wiring)
    for path, leaf in _readers(network):
        read = (weight(tensors, leaf, path)[0] ** 2).sum(2)
        if path in norms:
            where, norm = norms[path]
            read = read * norm_scale(tensors, norm, where)[:, None] ** 2
        np.add.at(missed, wiring.ins[path], values[path].square * read.sum(0))
    return np.sqrt(missed)


def made_good(network: Network, tensors: Tensors, wiring: Wiring, keep: Keep) -> dict[str, NDArray[Any]]:
    """Tensors of the whole network that make good what channels gave on average before they went.

    That is taken off the mean that the next BatchNorm expects, or added to the layer's bias; a layer with
    neither stays as it is.

    returns  the tensors that change
    """
    norms, values = dict(_norms(network.tree, "")), moments(network, tensors, wiring)
    found: dict[str, NDArray[Any]] = {}
    for path, leaf in _readers(network):
        gone = ~keep[wiring.ins[path]]
        name, sign = (join(norms[path][0], "running_mean"), -1) if path in norms else (join(path, "bias"), 1)
        if gone.any() and name in tensors:
            read = weight(tensors, leaf, path).sum(3)[0]
            lost = (read[:, gone] * values[path].mean[gone]).sum(1)
            found[name] = (tensors[name] + sign * lost).astype(tensors[name].dtype)
    return found


def _readers(network: Network) -> Iterator[tuple[str, Conv | Linear]]:
    """Layers that mix all channels, by dotted name; those in groups lose none."""
    for path, leaf in leaves(network.tree):
        if isinstance(leaf, Linear) or (isinstance(leaf, Conv) and leaf.groups == 1):
            yield path, leaf


def _norms(node: Node, path: str) -> Iterator[tuple[str, tuple[str, BatchNorm]]]:
    """Layers that a BatchNorm follows at once, each with it."""
    if not isinstance(node, Combinator):
        return
    children = [(join(path, name), child) for name, child in node.children]
    for where, child in children:
        yield from _norms(child, where)
    if isinstance(node, Chain):
        for (where, _), (behind, norm) in itertools.pairwise(children):
            if isinstance(norm, BatchNorm):
                yield where, (behind, norm)
