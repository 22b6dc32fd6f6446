"""Augmentation whose every parameter is a function of the sample's key: we draw, kornia applies."""

from __future__ import annotations

import math

import torch
from kornia.enhance import adjust_brightness, adjust_contrast
from kornia.geometry.transform import warp_affine
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train.strengths import Augment

__all__ = ["AFFINE_STREAM", "SHUFFLE_STREAM", "Augment", "affine_matrices", "augment"]

# Streams of random numbers that belong to training; layers of a network count theirs from zero.
SHUFFLE_STREAM = -1
AFFINE_STREAM = -2
_COLOUR_STREAM = -3
_ERASE_STREAM = -4

# Zhong et al. 2017, arXiv:1708.04896, section 4: erased area and its height over width.
_ERASED_AREA = (0.02, 0.4)
_ERASED_RATIO = (0.3, 1 / 0.3)


def augment(pictures: Tensor, keys: Tensor, strengths: Augment) -> Tensor:
    """Change every picture in its own way, whatever batch it is in.

    pictures  float[N, C, H, W] on the 0..1 scale
    keys      int64[N], from `sample_keys`
    returns   float[N, C, H, W] on the 0..1 scale
    """
    if strengths.moves:
        matrices = affine_matrices(keys, strengths, (pictures.shape[2], pictures.shape[3]))
        size = (pictures.shape[2], pictures.shape[3])
        pictures = warp_affine(pictures, matrices, size, padding_mode=strengths.outside)
    if strengths.brightness or strengths.contrast:
        draws = 2 * uniform(keys, _COLOUR_STREAM, 2) - 1
        pictures = adjust_brightness(pictures, strengths.brightness * draws[:, 0])
        pictures = adjust_contrast(pictures, 1 + strengths.contrast * draws[:, 1])
    return _erase(pictures, keys, strengths.erase) if strengths.erase else pictures


def affine_matrices(keys: Tensor, strengths: Augment, size: tuple[int, int]) -> Tensor:
    """Pixel matrices from source to destination: flip, shear, rotate and scale about the centre, move.

    returns   float32[N, 2, 3] acting on (x, y, 1)
    """
    height, width = size
    draws = uniform(keys, AFFINE_STREAM, 7)
    signed = 2 * draws - 1
    angle = torch.deg2rad(strengths.rotation * signed[:, 0])
    low, high = (math.log(factor) for factor in strengths.scale)
    factor = torch.exp(low + (high - low) * draws[:, 1])
    shear_x, shear_y = torch.tan(torch.deg2rad(strengths.shear * signed[:, 2:4])).unbind(1)
    mirror = torch.where(draws[:, 4] < 0.5, -1.0, 1.0) if strengths.flip else torch.ones_like(factor)
    cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
    xx, xy = (cos - sin * shear_y) * mirror, cos * shear_x - sin
    yx, yy = (sin + cos * shear_y) * mirror, sin * shear_x + cos
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    move_x = centre_x - xx * centre_x - xy * centre_y + strengths.translation * width * signed[:, 5]
    move_y = centre_y - yx * centre_x - yy * centre_y + strengths.translation * height * signed[:, 6]
    return torch.stack([xx, xy, move_x, yx, yy, move_y], dim=1).view(-1, 2, 3)


def _erase(pictures: Tensor, keys: Tensor, probability: float) -> Tensor:
    """Fill a random rectangle with the picture's mean colour (Zhong et al. 2017)."""
    draws = uniform(keys, _ERASE_STREAM, 5)
    height, width = pictures.shape[2:]
    area = _ERASED_AREA[0] + (_ERASED_AREA[1] - _ERASED_AREA[0]) * draws[:, 1]
    low, high = (math.log(ratio) for ratio in _ERASED_RATIO)
    ratio = torch.exp(low + (high - low) * draws[:, 2])
    inside = draws[:, 0] < probability
    tall, wide = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    rows = _span(draws[:, 3] * (1 - tall), tall, height)
    columns = _span(draws[:, 4] * (1 - wide), wide, width)
    hole = (rows[:, :, None] & columns[:, None, :] & inside[:, None, None])[:, None]
    return torch.where(hole, pictures.mean((2, 3), keepdim=True), pictures)


def _span(start: Tensor, length: Tensor, count: int) -> Tensor:
    """Which of `count` pixel centres lie in [start, start + length), as bool[N, count]."""
    centres = (torch.arange(count, device=start.device) + 0.5) / count
    return (centres >= start[:, None]) & (centres < (start + length)[:, None])
