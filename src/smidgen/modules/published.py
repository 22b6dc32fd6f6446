"""Published weights as tensors under our names."""

from __future__ import annotations

from torch import Tensor

from smidgen import weights
from smidgen.modelfile import ModelFile
from smidgen.modules.convert import adapt, load_pth
from smidgen.weights import Progress, published_network

__all__ = ["published_file", "published_network", "published_state"]


def published_state(name: str, key: str = "imagenet", progress: Progress | None = None) -> dict[str, Tensor]:
    """State dict of a network's published weights, downloaded on the first call.

    progress  called with (bytes so far, bytes in all) during a download
    returns   tensors that fit `published_network(name, key)`
    Raises    UnknownNameError; WeightsError when there are none or they cannot be had; ModelFileError
              when the file does not fit.
    """
    network = published_network(name, key)
    path = weights.fetch(weights.find(name, key), progress)
    return adapt(load_pth(path), network)


def published_file(name: str, key: str = "imagenet", progress: Progress | None = None) -> ModelFile:
    """Published weights as a model file, converted on the first call and kept: the next need no torch.

    Raises    as `published_state`.
    """
    published = weights.find(name, key)
    kept = weights.converted(published)
    if kept is not None:
        return kept
    state = published_state(name, key, progress)
    return weights.keep_converted(published, {name: tensor.numpy() for name, tensor in state.items()})
