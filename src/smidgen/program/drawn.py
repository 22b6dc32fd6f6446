"""Weights for networks that nobody has trained: drawn at random, or ones that take no memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import Network, tensors

__all__ = ["Ones", "draw_weights"]

# Of BatchNorms at identity; biases and means are 0.
_ONES = ("weight", "running_var")


def draw_weights(network: Network, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Normal weights that keep the scale of what rectifiers let through, BatchNorms at identity; speed does
    not depend on them.

    Source   He et al. 2015, arXiv:1502.01852
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, NDArray[Any]] = {}
    for name, shape, _ in tensors(network.tree):
        if not shape:
            drawn[name] = np.zeros((), np.int64)
        elif len(shape) == 1:
            drawn[name] = np.full(shape, name.endswith(_ONES), np.float32)
        else:
            deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
            drawn[name] = generator.standard_normal(shape, np.float32) * deviation
    return drawn


class Ones(Mapping[str, NDArray[Any]]):
    """Weights for a program that nobody runs: ones that take no memory."""

    def __init__(self, network: Network) -> None:
        self._shapes = {name: shape for name, shape, _ in tensors(network.tree)}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.broadcast_to(np.float32(1), self._shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)
