"""Pictures mixed with others: which, how much of each, and where, all by the sample's key.

The other one is any training picture, so that nothing depends on what stands in a batch.

Source   mixup: Zhang et al. 2018, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train import streams
from smidgen.train.boxes import boxes
from smidgen.train.strengths import Mixing

__all__ = ["beta", "mixed", "partners"]


def partners(keys: Tensor, count: int) -> Tensor:
    """The place of the picture that each one is mixed with, among so many: int64[n]."""
    return (uniform(keys, streams.MIXING, 1)[:, 0].double() * count).long()


def mixed(pictures: Tensor, others: Tensor, keys: Tensor, mixing: Mixing) -> tuple[Tensor, Tensor]:
    """Each picture blended with its partner, or with a rectangle of it pasted over.

    pictures, others  float[n, C, h, w]
    returns           the mixed pictures, and the share that each has of its own, float32[n]
    """
    draws = uniform(keys, streams.MIXING, 6)
    chance = 0.5 if mixing.mixup and mixing.cutmix else float(mixing.cutmix > 0)
    cut = draws[:, 1] < chance
    alphas = torch.where(cut, mixing.cutmix or 1.0, mixing.mixup or 1.0)
    kept = beta(draws[:, 2:4], alphas)
    side = (1 - kept).sqrt()
    corners = draws[:, 4] - side / 2, draws[:, 5] - side / 2
    hole = boxes(corners, (side, side), (pictures.shape[2], pictures.shape[3]))
    own = torch.where(cut[:, None, None, None], (~hole).float(), kept[:, None, None, None])
    shares = torch.where(cut, 1 - hole.flatten(1).sum(1) / hole[0].numel(), kept)
    return own * pictures + (1 - own) * others, shares


def beta(draws: Tensor, alphas: Tensor) -> Tensor:
    """Numbers of the distributions Beta(alpha, alpha) from two uniform ones each, without rejection.

    With t of Student's distribution of 2 alpha degrees, 1/2 + t / 2 sqrt(2 alpha + t^2) is of that Beta's,
    and t = sqrt(2 alpha (u^(-1 / alpha) - 1)) cos(2 pi v): Bailey 1994, Math. of Computation 62, p. 779.

    draws    float[n, 2] in [0, 1)
    alphas   float[n], above 0
    returns  float32[n] in [0, 1]
    """
    u, v = 1 - draws.double()[:, 0], draws.double()[:, 1]
    power, cos = u ** (1 / alphas.double()), torch.cos(2 * math.pi * v)
    root = ((1 - power) / (power + (1 - power) * cos.square())).sqrt()
    return ((1 + cos * root) / 2).float()
