"""Prediction with torch: the engine's `Predictor`, its network run by a module."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen.modules import NetworkModule
from smidgen.modules.published import published_tensors
from smidgen.modules.saved import module_of
from smidgen.predict import Forward, Predictor, require_sensible
from smidgen.train.evaluate import evaluating
from smidgen.train.pixels import channels_last
from smidgen.train.threads import sharing
from smidgen.weights import Progress, open_model

__all__ = ["forward_of", "open_predictor"]


@dataclass(frozen=True, slots=True, eq=False)
class _Forward:
    """As `forward_of` says; unlike a closure it can be pickled."""

    model: NetworkModule
    macs: int
    threads: int | None

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        with sharing(self.macs * len(x), self.threads), evaluating(self.model), torch.inference_mode():
            outputs: NDArray[np.float32] = self.model(channels_last(torch.from_numpy(x))).float().numpy()
        return outputs


def forward_of(model: NetworkModule, threads: int | None = None) -> Forward:
    """A module as a Predictor wants it; evaluation mode is for the call only.

    threads  of the processor; default: those that are here, one for small batches of small networks
    """
    return _Forward(model, model.network.cost().macs, threads)


def open_predictor(model: str, progress: Progress | None = None, *, threads: int | None = None) -> Predictor:
    """Open a model file, or a published name with its published weights, to be run by torch.

    threads  as of `forward_of`
    Raises   ModelFileError, also on a file whose network cannot see pictures or needs more memory than any
             sensible one; WeightsError or UnknownNameError.
    """
    file = open_model(model, progress, download=True, read=published_tensors)
    require_sensible(file.network, model)
    return Predictor(file.network, forward_of(module_of(file), threads), file.provenance)
