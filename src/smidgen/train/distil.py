"""Distillation: a small network learns from the probabilities of a larger one.

Source   Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Preprocess

__all__ = ["TEMPERATURE", "Teacher", "distilled"]

# Softens both sides; gradients shrink by its square, which `distilled` gives back.
TEMPERATURE = 2.0


class Teacher:
    """A trained network that looks at the pupil's own augmented pictures, at its own size and scale."""

    def __init__(self, model: nn.Module, size: tuple[int, int], own: Preprocess, pupil: Preprocess) -> None:
        self.model = model.eval().requires_grad_(False)
        self.size = size
        self._scale, self._shift = _between(pupil, own)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """The teacher's logits, float[n, classes], for the pupil's input float[n, C, h, w]."""
        x = pictures * self._scale.to(pictures.device) + self._shift.to(pictures.device)
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.model(x.contiguous(memory_format=torch.channels_last))
        return logits.float()


def distilled(logits: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Kullback-Leibler divergence from the teacher times the temperature squared, float[n]."""
    target = (teacher / temperature).log_softmax(1)
    own = (logits / temperature).log_softmax(1)
    return F.kl_div(own, target, log_target=True, reduction="none").sum(1) * temperature**2


def _between(pupil: Preprocess, own: Preprocess) -> tuple[Tensor, Tensor]:
    """Factor and offset of each channel from the pupil's normalised numbers to the teacher's.

    A teacher of three channels sees a grey pupil's picture in each of them.
    """
    pupil_mean, pupil_std, mean, std = (
        torch.tensor(values)[:, None, None] for values in (pupil.mean, pupil.std, own.mean, own.std)
    )
    return pupil_std / std, (pupil_mean - mean) / std
