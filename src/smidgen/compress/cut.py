"""The first stages and blocks of a network under a new head, with the weights that they had."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.compress.trunk import TRUNK, Block, blocks, head, is_stage, opened, trunk
from smidgen.families.family import classifier
from smidgen.graph import Activation, Chain, Conv, Dropout, Init, Linear, Network, Node, output_shape, tensors
from smidgen.spec import ShapeError, SmidgenError, WeightsError

__all__ = ["Place", "cut", "kept", "places"]

_DROPOUT = 0.2  # of a head whose network had none
_INIT: Init = "uniform_fan_out"  # as the heads of EfficientNet


class Place(NamedTuple):
    """Where a trunk ends: after so many blocks of its child with this index, from 0.

    A child that is no stage counts as one block. Places are in the order of the trunk.

    closed  whether the last block is whole; an open one ends before its projection, see `opened`
    """

    child: int
    blocks: int
    closed: bool = True

    def __str__(self) -> str:
        return f"{self.child}.{self.blocks}{'' if self.closed else ' open'}"


def places(network: Network) -> tuple[Place, ...]:
    """Where the trunk can be cut, shortest first.

    Each is the end of a block with weights, its activation included where that is a child of its own; before
    it the open end of the same block, where that has a projection. Places that leave nothing of the network's
    pictures are left out. An open place can cost more than the closed one: its head reads more channels.

    Raises   SmidgenError where the network has no trunk, or the pictures are too small for its first block.
    """
    found: list[Place] = []
    x, parts = network.input, blocks(network)
    for block, after in zip(parts, [*parts[1:], None], strict=True):
        try:
            x = output_shape(block.node, x)
        except ShapeError:
            break
        if _ends(block, after):
            if opened(block.node):
                found.append(Place(block.child, block.number, closed=False))
            found.append(Place(block.child, block.number))
    if not found:
        raise ShapeError(f"{network.name}: pictures of {network.input} are too small for its first block")
    return tuple(found)


def cut(network: Network, place: Place) -> Network:
    """The network up to `place`: mean over the map, dropout and a linear layer follow as a new head.

    network  as the pictures need it: its input, preprocessing and classes stay; so do the names of its layers
    Raises   SmidgenError where it cannot be cut there.
    """
    if place not in places(network):
        there = ", ".join(map(str, places(network)))
        raise SmidgenError(f"{network.name} cannot be cut after {place}; its places are {there}")
    *before, (name, last) = trunk(network)[: place.child + 1]
    features = Chain((*before, (name, _ended(last, place))))
    channels = output_shape(features, network.input).channels
    tree = Chain(((TRUNK, features), *_head(network, channels)))
    suffix = f"cut{place.child}_{place.blocks}{'' if place.closed else '_open'}"
    return dataclasses.replace(network, name=f"{network.name}_{suffix}", tree=tree)


def kept(published: Mapping[str, NDArray[Any]], network: Network) -> dict[str, NDArray[Any]]:
    """Tensors of a cut network that the published file has: all but those of the new head.

    published  by their state-dict names
    network    made by `cut`; a stem for grey pictures sums up the colours
    Raises     WeightsError where a tensor is missing or has another shape.
    """
    wanted = {name: shape for name, shape, _ in tensors(network.tree) if name.startswith(f"{TRUNK}.")}
    return {name: _fitting(published, name, shape, network) for name, shape in wanted.items()}


def _ended(child: Node, place: Place) -> Node:
    """The last child of a trunk that ends there."""
    if is_stage(child):
        *before, (name, last) = child.children[: place.blocks]
        return Chain((*before, (name, _block(last, place))))
    return _block(child, place)


def _block(block: Node, place: Place) -> Node:
    """The last block of a trunk that ends there."""
    return block if place.closed else opened(block) or block


def _ends(block: Block, after: Block | None) -> bool:
    """Whether the trunk may end with this block, before the one after it."""
    if after is not None and isinstance(after.node, Activation):
        return False
    return isinstance(block.node, Activation) or any(True for _ in tensors(block.node))


def _head(network: Network, channels: int) -> tuple[tuple[str, Node], ...]:
    """A new head; what it shares with the network's own is taken from there."""
    own = head(network)
    outputs = [leaf for leaf in own if isinstance(leaf, Linear | Conv)]
    if not outputs:
        raise SmidgenError(f"{network.name} has no layer of outputs behind its trunk")
    dropout = next((leaf.p for leaf in own if isinstance(leaf, Dropout)), _DROPOUT)
    init = next((leaf.init for leaf in outputs if isinstance(leaf, Linear)), _INIT)
    return classifier(channels, outputs[-1].c_out, dropout, init)


def _fitting(
    published: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], network: Network
) -> NDArray[Any]:
    found = published.get(name)
    if found is None:
        raise WeightsError(f"{network.name}: the published weights lack '{name}'")
    if found.shape == shape:
        return found
    if len(shape) == 4 and shape == (found.shape[0], 1, *found.shape[2:]) and found.shape[1] == 3:
        # What the stem answers to a picture with three equal channels.
        return np.asarray(found.sum(1, keepdims=True, dtype=found.dtype))
    if (
        found.ndim == len(shape) == 4
        and found.shape[::2] == shape[::2]
        and shape[1] == network.input.channels
    ):
        raise WeightsError(
            f"{network.name}: published weights see {found.shape[1]} channels, or 1 as the sum of three; "
            f"the pictures have {shape[1]}"
        )
    raise WeightsError(f"{network.name}: the published '{name}' is {found.shape}, not {shape}")
