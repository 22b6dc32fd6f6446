"""Augmentation whose every parameter is a function of the sample's key: the order of things."""

from __future__ import annotations

from kornia.enhance import adjust_brightness, adjust_contrast
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train import streams
from smidgen.train.boxes import erased
from smidgen.train.colour import saturated, turned
from smidgen.train.moves import moved
from smidgen.train.policies import policy_steps, recoloured
from smidgen.train.strengths import Augment

__all__ = ["Augment", "augment"]


def augment(pictures: Tensor, keys: Tensor, strengths: Augment) -> Tensor:
    """Change every picture in its own way, whatever batch it is in: move it, colour it, erase a part.

    pictures  float[N, C, H, W] on the 0..1 scale
    keys      int64[N], from `sample_keys`
    returns   float[N, C, H, W] on the 0..1 scale
    """
    steps = policy_steps(keys, strengths)
    if strengths.moves or steps:
        pictures = moved(pictures, keys, strengths, steps)
    for step in steps:
        pictures = recoloured(pictures, step)
    pictures = _jittered(pictures, keys, strengths)
    return erased(pictures, keys, strengths.erase) if strengths.erase else pictures


def _jittered(pictures: Tensor, keys: Tensor, strengths: Augment) -> Tensor:
    """Brightness, contrast, saturation and hue, as far as they are asked for."""
    draws = 2 * uniform(keys, streams.COLOUR, 4) - 1
    if strengths.brightness or strengths.contrast:
        pictures = adjust_brightness(pictures, strengths.brightness * draws[:, 0])
        pictures = adjust_contrast(pictures, 1 + strengths.contrast * draws[:, 1])
    if strengths.saturation:
        pictures = saturated(pictures, strengths.saturation * draws[:, 2])
    return turned(pictures, strengths.hue * draws[:, 3]) if strengths.hue else pictures
