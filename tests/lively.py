"""Networks of any tree, and modules with weights under which every node matters."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

import smidgen
from smidgen.graph import Node
from smidgen.spec import Shape

__all__ = ["lively", "network_of", "tensors_of"]


def network_of(tree: Node, shape: Shape) -> smidgen.Network:
    return smidgen.Network("random", "random", tree, shape, smidgen.Preprocess(resize=shape.height))


def lively(network: smidgen.Network) -> torch.nn.Module:
    """A module whose BatchNorms do something."""
    torch.manual_seed(0)
    module = smidgen.create(network).eval()
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            for values, low in ((norm.weight, 0.5), (norm.bias, -0.2), (norm.running_mean, -0.2)):
                assert values is not None
                torch.nn.init.uniform_(values, low, low + 0.5)
    return module


def tensors_of(module: torch.nn.Module) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}
