"""A moving average of weights and BatchNorm statistics."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """Exponential moving average of a model's whole state, in a model of its own.

    The decay warms up as (1 + t) / (10 + t), TensorFlow's rule, so that the average always looks back
    over at most about a tenth of the training: short runs forget their start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._source, self._target = _floats(model), _floats(self.model)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the model that is training."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._target, self._source, 1 - decay)

    @torch.no_grad()
    def store(self, model: nn.Module) -> None:
        """Write the average into `model`."""
        torch._foreach_copy_(_floats(model), self._target)


def _floats(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers with a fraction: the counters of BatchNorm keep their own value."""
    return [value.detach() for value in (*model.parameters(), *model.buffers()) if value.is_floating_point()]
