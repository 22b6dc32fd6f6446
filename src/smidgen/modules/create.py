"""From a name to a module, with published weights where wanted."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from smidgen import families
from smidgen.graph import Network
from smidgen.modules.published import published_state
from smidgen.modules.tree import TreeModule
from smidgen.spec import SmidgenError, WeightsError
from smidgen.weights import Progress, published_network

__all__ = ["NetworkModule", "create", "pretrained"]

_log = logging.getLogger("smidgen")


class NetworkModule(TreeModule):
    """Module of a whole network: float[N, C, H, W] -> float[N, num_classes].

    network     the network that it was built from
    new_layers  names of the layers that published weights did not fit, newly initialised
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network.tree)
        self.network = network
        self.new_layers: tuple[str, ...] = ()


def create(
    network: Network | str, *, weights: str | None = None, progress: Progress | None = None, **options: Any
) -> NetworkModule:
    """Build the module of a network, freshly initialised from torch's generator, or with published weights.

    network  the network, or the name of a published one
    weights  key of published weights, such as "imagenet". Layers that do not fit (the head at another
             num_classes) stay new: a warning of the logger "smidgen" says which, and `new_layers` holds
             their names; a stem for grey pictures sums up the colours
    options  of `families.network`, with a name only. With weights, resolution and preprocessing are those
             that the weights were evaluated with, unless the options say otherwise
    Raises   UnknownNameError; SmidgenError on bad options; WeightsError when there are no such weights or
             they cannot be had.
    """
    if isinstance(network, str):
        network = _named(network, weights, options)
    elif options:
        raise SmidgenError(f"{', '.join(options)}: options go with a name; this network is already built")
    if weights is None:
        return NetworkModule(network)
    model = pretrained(network, weights, progress)
    if model.new_layers:
        _log.warning("%s: new layers, not pretrained: %s", network.name, ", ".join(model.new_layers))
    return model


def pretrained(network: Network, weights: str, progress: Progress | None = None) -> NetworkModule:
    """Build the module of a network that has a published one's name, with its weights where they fit.

    Raises   WeightsError when there are no such weights or they cannot be had.
    """
    # The download comes first: nothing is built when it fails.
    state = published_state(network.name, weights, progress)
    model = NetworkModule(network)
    model.new_layers = _load_fitting(model, state)
    return model


def _named(name: str, weights: str | None, options: dict[str, Any]) -> Network:
    """Network of a name; with weights, used in the way that they were evaluated."""
    if weights is None:
        return families.network(name, **options)
    published = published_network(name, weights)
    if not options:
        return published
    network = families.network(name, **{"resolution": published.input.height, **options})
    if network.input.channels != published.input.channels:
        return network
    resize = round(published.preprocess.resize * network.input.height / published.input.height)
    preprocess = dataclasses.replace(published.preprocess, resize=resize)
    classes = published.classes if network.num_classes == published.num_classes else ()
    return dataclasses.replace(network, preprocess=preprocess, classes=classes)


def _for_grey(tensor: Tensor, mine: Tensor) -> Tensor:
    """A colour stem for grey pictures: what it answers to a picture with three equal channels."""
    grey = mine.dim() == 4 and mine.shape == (tensor.shape[0], 1, *tensor.shape[2:])
    return tensor.sum(1, keepdim=True) if grey and tensor.shape[1] == 3 else tensor


def _load_fitting(model: NetworkModule, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Load the tensors whose shapes fit; returns the names of the layers that did not."""
    mine = model.state_dict()
    if mine.keys() != state.keys():
        odd = min(mine.keys() ^ state.keys())
        raise WeightsError(
            f"the published weights of {model.network.name} do not fit: '{odd}' is on one side"
        )
    state = {name: _for_grey(tensor, mine[name]) for name, tensor in state.items()}
    unfit = [name for name, tensor in state.items() if tensor.shape != mine[name].shape]
    new = tuple(dict.fromkeys(name.rpartition(".")[0] for name in unfit))
    # A layer is loaded as a whole or not at all: no old bias beside a new weight.
    fitting = {name: tensor for name, tensor in state.items() if name.rpartition(".")[0] not in new}
    model.load_state_dict(fitting, strict=False)
    return new
