"""Weights drawn at random, for networks that nobody has trained: speed does not depend on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import Network, tensors

__all__ = ["draw_weights"]

# Of BatchNorms at identity; biases and means are 0.
_ONES = ("weight", "running_var")


def draw_weights(network: Network, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Normal weights that keep the scale of what rectifiers let through, BatchNorms at identity.

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
