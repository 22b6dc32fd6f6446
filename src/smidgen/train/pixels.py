"""Decoded pictures in memory, and how they become a network's input on any device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smidgen.graph import Preprocess
from smidgen.spec import DataError

__all__ = [
    "Examples",
    "TrainingData",
    "channels_last",
    "mirrored",
    "normalise",
    "spread",
    "thinned",
    "to_unit",
]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pictures at the network's size with their labels.

    pictures  uint8[N, h, w, C]
    labels    int64[N], each 0 or above
    Raises    DataError when they do not belong together.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        pictures, labels = self.pictures, self.labels
        if pictures.dtype != np.uint8 or pictures.ndim != 4:
            raise DataError(
                f"pictures are {pictures.dtype}{list(pictures.shape)}; uint8[N, h, w, C] is needed"
            )
        if labels.dtype != np.int64 or labels.shape != pictures.shape[:1]:
            raise DataError(
                f"labels are {labels.dtype}{list(labels.shape)}; int64[{len(pictures)}] is needed"
            )
        if labels.size and labels.min() < 0:
            raise DataError(f"label {labels.min()} names no class; only labelled pictures teach or test")

    def __len__(self) -> int:
        return len(self.labels)


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Places of `most` of so many things, evenly spread, or of all."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def mirrored(examples: Examples) -> Examples:
    """The examples, left and right exchanged."""
    return Examples(np.ascontiguousarray(examples.pictures[:, :, ::-1]), examples.labels)


def thinned(examples: Examples, most: int) -> Examples:
    """So many of the examples at most, evenly spread."""
    if len(examples) <= most:
        return examples
    kept = spread(len(examples), most)
    return Examples(examples.pictures[kept], examples.labels[kept])


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a network is trained on.

    train       pictures to learn from
    val         pictures to validate with after every epoch
    preprocess  how the network sees both
    """

    train: Examples
    val: Examples
    preprocess: Preprocess


def to_unit(pictures: Tensor) -> Tensor:
    """uint8[N, h, w, C] -> float32[N, C, h, w] on the 0..1 scale."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def normalise(unit: Tensor, preprocess: Preprocess) -> Tensor:
    """Subtract the mean, divide by the deviation: with `to_unit` the numbers of `images.normalise`.

    unit     float32[N, C, h, w] on the 0..1 scale, on any device
    returns  the same shape in channels_last, in which torch's convolutions are fastest on small maps
    """
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=unit.device)[:, None, None]
        for values in (preprocess.mean, preprocess.std)
    )
    return channels_last((unit - mean) / std)


def channels_last(x: Tensor) -> Tensor:
    """The same numbers in channels_last, with strides that say so for one channel too.

    With one channel both formats lie alike in memory, and torch keeps NCHW's strides, by which every
    layer that follows would choose NCHW.
    """
    _, channels, height, width = x.shape
    strides = (height * width * channels, 1, width * channels, channels)
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, strides)
