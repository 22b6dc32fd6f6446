"""Augmented pictures: view v of picture i is a function of (seed, v, i) alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smidgen.modules import sample_keys
from smidgen.train.augment import Augment, augment
from smidgen.train.pixels import Examples, to_unit

__all__ = ["Views"]


@dataclass(frozen=True, slots=True)
class Views:
    """Pictures, and how strongly, from which seed and where they are augmented."""

    data: Examples
    strengths: Augment
    seed: int
    device: torch.device

    def keys(self, view: int, places: Tensor) -> Tensor:
        """Keys of one view of the pictures at these places, int64[n]."""
        return sample_keys(self.seed, view, places)

    def unit(self, places: Tensor, keys: Tensor) -> Tensor:
        """The pictures at these places as their keys have them, float32[n, C, h, w] on the 0..1 scale."""
        pictures = torch.from_numpy(self.data.pictures)[places]
        return augment(to_unit(pictures.to(self.device)), keys.to(self.device), self.strengths)
