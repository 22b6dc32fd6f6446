"""The batches that an epoch makes of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from smidgen.graph import Preprocess
from smidgen.modules import sample_keys, uniform
from smidgen.train import streams
from smidgen.train.parallel import ALONE, World
from smidgen.train.pixels import normalise
from smidgen.train.views import Views

__all__ = ["Batch", "batch_sizes", "epoch_batches", "epoch_order"]

# Pictures are augmented in chunks of several batches: for tiny ones a call costs more than its work.
_CHUNK_BYTES = 4 * 1024**2


class Batch(NamedTuple):
    """One step's input, or the share of it that one process works on.

    pictures  normalised float[n, C, h, w], each of one picture of the data or mixed of k = 2
    labels    int64[n, k], its own first
    keys      int64[n], random
    shares    float[n, k], of the labels; they add up to 1
    places    int64[n, k], of the pictures in the data
    whole     samples of the batch in all processes
    """

    pictures: Tensor
    labels: Tensor
    keys: Tensor
    shares: Tensor
    places: Tensor
    whole: int


def batch_sizes(pictures: int, batch_size: int) -> list[int]:
    """Sizes of one epoch's batches: nearly equal, none above `batch_size` or, with enough pictures, below 2.

    BatchNorm cannot learn from a single sample, so a lone one joins its neighbours.
    """
    count = max(1, min(-(-pictures // batch_size), pictures // 2))
    return [pictures // count + (index < pictures % count) for index in range(count)]


def epoch_order(pictures: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The order of an epoch and the samples' keys in that order, both int64[N], from (seed, epoch) alone."""
    keys = sample_keys(seed, epoch, torch.arange(pictures))
    order = torch.argsort(uniform(keys, streams.SHUFFLE, 1)[:, 0], stable=True)
    return order, keys[order]


def epoch_batches(
    views: Views,
    preprocess: Preprocess,
    *,
    batch_size: int,
    epoch: int,
    first: int = 0,
    turns: int | None = None,
    world: World = ALONE,
) -> Iterator[Batch]:
    """All pictures of one epoch once, shuffled, augmented and normalised on the device of the views.

    first  batches to leave out at the start. The others are equal in every bit with them or without:
           pictures are worked on in the same chunks
    turns  views of each picture that are shown in turn; default: a new one in every epoch
    """
    data, device, labels = views.data, views.device, torch.from_numpy(views.data.labels)
    order, keys = epoch_order(len(data), views.seed, epoch)
    sizes, view = batch_sizes(len(data), batch_size), epoch if turns is None else epoch % turns
    per_chunk = max(1, _CHUNK_BYTES // (4 * sizes[0] * data.pictures[0].size))
    starts = [0, *accumulate(sizes)]
    for begin in range(first // per_chunk * per_chunk, len(sizes), per_chunk):
        chunk = range(begin, min(begin + per_chunk, len(sizes)))
        mine = [_share(starts[number], sizes[number], world) for number in chunk]
        places = torch.cat([torch.arange(part.start, part.stop) for part in mine])
        seen = views.seen(view, order[places], keys[places])
        tensors = (
            normalise(seen.unit, preprocess),
            labels[seen.places],
            keys[places],
            seen.shares,
            seen.places,
        )
        parts = [part.to(device) for part in tensors]
        counts = [len(part) for part in mine]
        for number, *part in zip(chunk, *(torch.split(part, counts) for part in parts), strict=True):
            if number >= first:
                yield Batch._make((*part, sizes[number]))


def _share(start: int, count: int, world: World) -> range:
    """Places of one batch that this process works on."""
    return range(start, start + count)[world.part(count)]
