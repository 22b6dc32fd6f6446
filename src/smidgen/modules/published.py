"""Published weights as tensors under our names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from smidgen import weights
from smidgen.modules.convert import adapt, load_pth
from smidgen.weights import Progress, Published

__all__ = ["published_state", "published_tensors"]


def published_state(name: str, key: str = "imagenet", progress: Progress | None = None) -> dict[str, Tensor]:
    """State dict of a network's published weights, downloaded on the first call.

    progress  called with (bytes so far, bytes in all) during a download
    returns   tensors that fit `smidgen.weights.published_network(name, key)`
    Raises    UnknownNameError; WeightsError when there are none or they cannot be had; ModelFileError
              when the file does not fit.
    """
    network = weights.published_network(name, key)
    row = weights.find(name, key)
    path = weights.fetch(row, progress)
    if row.reader is None:
        return adapt(load_pth(path), network)
    return adapt({name: torch.from_numpy(array) for name, array in row.reader(path).items()}, network)


def published_tensors(published: Published) -> Mapping[str, NDArray[Any]]:
    """The same as arrays: what `smidgen.weights.open_model` reads with, where torch is loaded anyway."""
    state = published_state(published.network, published.key)
    return {name: tensor.numpy() for name, tensor in state.items()}
