"""Where the pixels of a training picture go: all that moves them in one matrix, and one warp."""

from __future__ import annotations

import math

import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train import streams
from smidgen.train.policies import Step
from smidgen.train.strengths import Augment

__all__ = ["affine_matrices", "moved", "step_matrices"]

# Szegedy et al. 2014, arXiv:1409.4842, section 6: the width over the height of what is kept.
_CROP_RATIO = (3 / 4, 4 / 3)
# Boxes that are drawn until one lies inside of the picture, as torchvision's RandomResizedCrop has it.
_CROP_TRIES = 10


def moved(pictures: Tensor, keys: Tensor, strengths: Augment, steps: list[Step]) -> Tensor:
    """The pictures, float[N, C, H, W], after one warp: cropped, moved at random, then as the policy says."""
    size = (pictures.shape[2], pictures.shape[3])
    matrices = affine_matrices(keys, strengths, size)
    for step in steps:
        matrices = _joined(step_matrices(step, size), matrices)
    return warp_affine(pictures, matrices, size, padding_mode=strengths.outside)


def affine_matrices(keys: Tensor, strengths: Augment, size: tuple[int, int]) -> Tensor:
    """Pixel matrices from source to destination: crop; flip, shear, rotate and scale about the centre; move.

    returns   float32[N, 2, 3] acting on (x, y, 1)
    """
    height, width = size
    draws = uniform(keys, streams.AFFINE, 7)
    signed = 2 * draws - 1
    angle = torch.deg2rad(strengths.rotation * signed[:, 0])
    low, high = (math.log(factor) for factor in strengths.scale)
    factor = torch.exp(low + (high - low) * draws[:, 1])
    shear_x, shear_y = torch.tan(torch.deg2rad(strengths.shear * signed[:, 2:4])).unbind(1)
    mirror = torch.where(draws[:, 4] < 0.5, -1.0, 1.0) if strengths.flip else torch.ones_like(factor)
    cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
    linear = (
        *((cos - sin * shear_y) * mirror, cos * shear_x - sin),
        *((sin + cos * shear_y) * mirror, sin * shear_x + cos),
    )
    move = strengths.translation * width * signed[:, 5], strengths.translation * height * signed[:, 6]
    matrices = _about_centre(linear, move, size)
    return matrices if strengths.crop == (1.0, 1.0) else _joined(matrices, _crops(keys, strengths.crop, size))


def step_matrices(step: Step, size: tuple[int, int]) -> Tensor:
    """Matrices float32[N, 2, 3] of those of the step's operations that move pixels, about the centre."""
    angle = torch.deg2rad(step.of("rotate"))
    cos, sin = torch.cos(angle), torch.sin(angle)
    linear = cos, step.of("shear_x") - sin, step.of("shear_y") + sin, cos
    move = size[1] * step.of("translate_x"), size[0] * step.of("translate_y")
    return _about_centre(linear, move, size)


def _about_centre(linear: tuple[Tensor, ...], move: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    """Matrices of a linear map (xx, xy, yx, yy) that keeps the centre where it is, and a move behind it."""
    xx, xy, yx, yy = linear
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    move_x = centre_x - xx * centre_x - xy * centre_y + move[0]
    move_y = centre_y - yx * centre_x - yy * centre_y + move[1]
    return torch.stack([xx, xy, move_x, yx, yy, move_y], dim=1).view(-1, 2, 3)


def _crops(keys: Tensor, areas: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """Matrices that magnify a box inside of each picture to the whole, from corner pixel to corner pixel."""
    draws = uniform(keys, streams.CROP, 2 * _CROP_TRIES + 2)
    area = areas[0] + (areas[1] - areas[0]) * draws[:, :_CROP_TRIES]
    low, high = (math.log(ratio) for ratio in _CROP_RATIO)
    ratio = torch.exp(low + (high - low) * draws[:, _CROP_TRIES:-2]) * size[0] / size[1]
    wide, tall = (area * ratio).sqrt(), (area / ratio).sqrt()
    # The first box that fits; where none does, the last one, cut off at the border.
    fits = ((wide <= 1) & (tall <= 1)).int()
    fits[:, -1] = 1
    first = fits.argmax(1, keepdim=True)
    wide, tall = (sides.gather(1, first)[:, 0].clamp(max=1) for sides in (wide, tall))
    left, top = draws[:, -2] * (1 - wide) * (size[1] - 1), draws[:, -1] * (1 - tall) * (size[0] - 1)
    zero = torch.zeros_like(wide)
    return torch.stack([1 / wide, zero, -left / wide, zero, 1 / tall, -top / tall], dim=1).view(-1, 2, 3)


def _joined(outer: Tensor, inner: Tensor) -> Tensor:
    """Matrices that do the inner map, then the outer one; number by number, for equal bits in every batch."""
    result = outer[:, :, :1] * inner[:, :1] + outer[:, :, 1:2] * inner[:, 1:]
    result[:, :, 2] += outer[:, :, 2]
    return result
