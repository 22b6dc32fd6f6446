"""Rectangles inside of pictures: those that are erased, those into which another picture is pasted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train import streams

__all__ = ["boxes", "erased"]

# Zhong et al. 2017, arXiv:1708.04896, section 4: erased area and its height over width.
_ERASED_AREA = (0.02, 0.4)
_ERASED_RATIO = (0.3, 1 / 0.3)


def boxes(corners: tuple[Tensor, Tensor], sides: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    """Which pixels' centres lie inside, as bool[N, 1, H, W].

    corners  top and left, float[N] each, as parts of the picture's sides
    sides    height and width, likewise
    """
    rows, columns = map(_span, corners, sides, size)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def erased(pictures: Tensor, keys: Tensor, probability: float) -> Tensor:
    """Fill a random rectangle with the picture's mean colour (Zhong et al. 2017)."""
    draws = uniform(keys, streams.ERASE, 5)
    area = _ERASED_AREA[0] + (_ERASED_AREA[1] - _ERASED_AREA[0]) * draws[:, 1]
    low, high = (math.log(ratio) for ratio in _ERASED_RATIO)
    ratio = torch.exp(low + (high - low) * draws[:, 2])
    inside = draws[:, 0] < probability
    tall, wide = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    corners = draws[:, 3] * (1 - tall), draws[:, 4] * (1 - wide)
    hole = boxes(corners, (tall, wide), (pictures.shape[2], pictures.shape[3])) & inside[:, None, None, None]
    return torch.where(hole, pictures.mean((2, 3), keepdim=True), pictures)


def _span(start: Tensor, length: Tensor, count: int) -> Tensor:
    """Which of `count` pixel centres lie in [start, start + length), as bool[N, count]."""
    centres = (torch.arange(count, device=start.device) + 0.5) / count
    return (centres >= start[:, None]) & (centres < (start + length)[:, None])
