"""The batches that an epoch makes of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from smidgen.graph import Preprocess
from smidgen.modules.randomness import sample_keys, uniform
from smidgen.train.augment import SHUFFLE_STREAM, Augment, augment
from smidgen.train.pixels import Pixels, normalise, to_unit

__all__ = ["Batch", "batch_sizes", "epoch_batches", "epoch_order"]

# Pictures are augmented in chunks of many batches: for tiny pictures a call costs more than its work.
_CHUNK_BYTES = 32 * 1024**2


class Batch(NamedTuple):
    """One step's input: normalised float[n, C, h, w], int64[n] labels, int64[n] random keys."""

    pictures: Tensor
    labels: Tensor
    keys: Tensor


def batch_sizes(pictures: int, batch_size: int) -> list[int]:
    """Sizes of one epoch's batches: nearly equal, none above `batch_size` or, with enough pictures, below 2.

    BatchNorm cannot learn from a single sample, so a lone one joins its neighbours.
    """
    count = max(1, min(-(-pictures // batch_size), pictures // 2))
    return [pictures // count + (index < pictures % count) for index in range(count)]


def epoch_order(pictures: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The order of an epoch and the samples' keys in that order, both int64[N], from (seed, epoch) alone."""
    keys = sample_keys(seed, epoch, torch.arange(pictures))
    order = torch.argsort(uniform(keys, SHUFFLE_STREAM, 1)[:, 0], stable=True)
    return order, keys[order]


def epoch_batches(
    data: Pixels,
    preprocess: Preprocess,
    strengths: Augment,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """All pictures of one epoch once, shuffled, augmented and normalised on the device."""
    pictures, labels = torch.from_numpy(data.pictures), torch.from_numpy(data.labels)
    order, keys = epoch_order(len(data), seed, epoch)
    sizes = batch_sizes(len(data), batch_size)
    per_chunk = max(1, _CHUNK_BYTES // (4 * sizes[0] * data.pictures[0].size))
    start = 0
    for first in range(0, len(sizes), per_chunk):
        chunk = sizes[first : first + per_chunk]
        stop = start + sum(chunk)
        chosen, chunk_keys = order[start:stop], keys[start:stop].to(device)
        unit = augment(to_unit(pictures[chosen].to(device)), chunk_keys, strengths)
        parts = normalise(unit, preprocess), labels[chosen].to(device), chunk_keys
        yield from map(Batch, *(torch.split(part, chunk) for part in parts))
        start = stop
