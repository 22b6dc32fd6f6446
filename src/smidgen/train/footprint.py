"""Memory that a training takes, estimated before it begins, and batches that stay inside it.

The factors are from peaks of eleven networks of all families, from 32 to 288 pixels, on a processor: the
estimate was 1.1 to 1.9 times what the process grew by (`results/memory.py --steps` measures them again).
"""

from __future__ import annotations

import math

from smidgen.graph import BatchNorm, Network, layers
from smidgen.train.recipe import Recipe

__all__ = [
    "MOST_PREDICTED",
    "batch_within",
    "parts_within",
    "prediction_batch",
    "splits_exactly",
    "training_bytes",
]

# Weights, gradients, two moments, moving average; and what a checkpoint copies of them.
_COPIES = 5 + 4
# Of the outputs of all layers, which the backward pass needs; some it needs twice, some not at all.
_KEPT = 1.2
# Of the largest maps, beside them: gradients on their way, and what convolutions lay out anew.
_PASSING = 4
_FIXED = 128 * 2**20  # chunks of pictures, kernels

# A prediction's maps: batches are as large as that allows, up to MOST_PREDICTED.
_PREDICTED_BYTES = 2**28
MOST_PREDICTED = 256

# Maps of one part of a batch, where parts change nothing: more at once is not faster.
_PART_BYTES = 2**30


def training_bytes(network: Network, recipe: Recipe) -> int:
    """Bytes that a training takes on top of torch and the pictures."""
    return _weights(network) + math.ceil(recipe.batch_size / recipe.parts) * _sample(network) + _FIXED


def splits_exactly(network: Network, recipe: Recipe) -> bool:
    """Whether a batch in parts gives the gradients of the whole: not where BatchNorm looks at all of it."""
    return recipe.frozen_norms or not any(
        isinstance(layer.node, BatchNorm) for layer in layers(network.tree, network.input)
    )


def parts_within(network: Network, batch: int, room: float = math.inf) -> int | None:
    """Parts in which a batch fits into so many bytes, at least as many as are as fast as the whole.

    returns  None where single pictures do not fit
    """
    each = int(min(room - _weights(network) - _FIXED, _PART_BYTES) // _sample(network))
    if each < 1:
        return None if room < math.inf else batch
    return math.ceil(batch / each)


def batch_within(network: Network, room: int, most: int, least: int = 8) -> int | None:
    """Largest batch of `most`, half of it, a quarter, … that fits into so many bytes; None below `least`."""
    while _weights(network) + most * _sample(network) + _FIXED > room:
        if most <= least:
            return None
        most = max(least, most // 2)
    return most


def prediction_batch(network: Network) -> int:
    """Pictures that a network predicts at once. A property of the network: batches decide the last bits."""
    return max(1, min(MOST_PREDICTED, _PREDICTED_BYTES // (3 * network.cost().peak_bytes)))


def _weights(network: Network) -> int:
    return 4 * _COPIES * network.cost().params


def _sample(network: Network) -> int:
    """Bytes for one picture of the batch."""
    outputs = sum(layer.activation_bytes for layer in layers(network.tree, network.input))
    return max(1, round(_KEPT * outputs + _PASSING * network.cost().peak_bytes))
