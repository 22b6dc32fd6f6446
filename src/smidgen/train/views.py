"""Augmented pictures: view v of picture i is a function of (seed, v, i) alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from smidgen.modules import sample_keys
from smidgen.train.augment import Augment, augment
from smidgen.train.mixing import mixed, partners
from smidgen.train.pixels import Examples, to_unit
from smidgen.train.strengths import Mixing

__all__ = ["Seen", "Views"]


class Seen(NamedTuple):
    """Pictures as a network sees them, each of one picture of the data or mixed of k = 2.

    unit    float32[n, C, h, w] on the 0..1 scale
    places  int64[n, k], in the data; its own first
    shares  float32[n, k], which add up to 1
    """

    unit: Tensor
    places: Tensor
    shares: Tensor


@dataclass(frozen=True, slots=True)
class Views:
    """Pictures, and how strongly, from which seed and where they are augmented.

    mixing  what is mixed of views; no part of the views themselves, which teachers answer one by one
    """

    data: Examples
    strengths: Augment
    seed: int
    device: torch.device
    mixing: Mixing = field(default=Mixing(), compare=False)

    def keys(self, view: int, places: Tensor) -> Tensor:
        """Keys of one view of the pictures at these places, int64[n]."""
        return sample_keys(self.seed, view, places)

    def unit(self, places: Tensor, keys: Tensor) -> Tensor:
        """The pictures at these places as their keys have them, float32[n, C, h, w] on the 0..1 scale."""
        pictures = torch.from_numpy(self.data.pictures)[places]
        return augment(to_unit(pictures.to(self.device)), keys.to(self.device), self.strengths)

    def seen(self, view: int, places: Tensor, keys: Tensor) -> Seen:
        """One view of the pictures at these places, mixed with the same view of others as `keys` have it."""
        unit = self.unit(places, self.keys(view, places))
        if not self.mixing.on:
            return Seen(unit, places[:, None], torch.ones(len(places), 1))
        others = partners(keys, len(self.data))
        pasted = self.unit(others, self.keys(view, others))
        unit, shares = mixed(unit, pasted, keys.to(self.device), self.mixing)
        return Seen(unit, torch.stack([places, others], 1), torch.stack([shares, 1 - shares], 1))
