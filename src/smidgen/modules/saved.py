"""Model files to and from torch modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from smidgen import modelfile
from smidgen.graph import Network
from smidgen.modelfile import ModelFile
from smidgen.modules.create import NetworkModule

__all__ = ["Loaded", "load", "load_file", "module_of", "save"]


class Loaded(NamedTuple):
    """All that a model file holds, its weights in a module in evaluation mode."""

    network: Network
    model: NetworkModule
    provenance: Mapping[str, Any]


def save(
    path: str | Path, network: Network, model: nn.Module, provenance: Mapping[str, Any] | None = None
) -> int:
    """Write `model`'s weights and its network as a model file, in one step; returns the size in bytes.

    Weights of any floating type are written as float32.
    Raises   ModelFileError where the module is not that network's, or the disk refuses.
    """
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    arrays = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in state.items()
    }
    return modelfile.write(path, ModelFile(network, arrays, provenance or {}))


def load(path: str | Path) -> tuple[Network, NetworkModule]:
    """Read a model file into a module in evaluation mode.

    Raises   ModelFileError on anything but a whole model file.
    """
    loaded = load_file(path)
    return loaded.network, loaded.model


def load_file(path: str | Path) -> Loaded:
    """Read a model file, once, for its module and its provenance.

    Raises   ModelFileError on anything but a whole model file.
    """
    file = modelfile.read(path)
    return Loaded(file.network, module_of(file), file.provenance)


def module_of(file: ModelFile) -> NetworkModule:
    """A model file's network with its weights, in evaluation mode."""
    with torch.device("meta"):  # no time is lost on weights that are about to be replaced
        model = NetworkModule(file.network)
    state = {name: torch.from_numpy(array.copy()) for name, array in file.tensors.items()}
    model.load_state_dict(state, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval()
