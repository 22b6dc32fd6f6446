"""What a trained model says about pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from smidgen import report
from smidgen.graph import Network, Preprocess
from smidgen.train.footprint import MOST_PREDICTED, prediction_batch
from smidgen.train.pixels import normalise, to_unit

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion",
    "cross_entropy",
    "evaluating",
    "predict_logits",
]


def predict_logits(
    model: nn.Module,
    pictures: NDArray[np.uint8],
    preprocess: Preprocess,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
) -> NDArray[np.float32]:
    """The model's outputs in evaluation mode, which it leaves as it found it.

    pictures    uint8[N, h, w, C]
    batch_size  default: as many as its maps allow, where it knows its network
    returns     float32[N, classes]
    """
    if batch_size is None:
        network = getattr(model, "network", None)
        batch_size = prediction_batch(network) if isinstance(network, Network) else MOST_PREDICTED
    with evaluating(model), torch.inference_mode():
        parts = [
            model(normalise(to_unit(part.to(device)), preprocess)).float().cpu()
            for part in torch.split(torch.from_numpy(pictures), batch_size)
        ]
    return torch.cat(parts).numpy()


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Fraction of rows whose largest logit stands at the label."""
    return float((logits.argmax(1) == labels).mean())


def balanced_accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean over the classes that have rows of the fraction whose largest logit stands at the label."""
    found = report.balanced_accuracy(confusion(logits, labels))
    assert found is not None, "no rows have no accuracy"
    return found


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood in nats, without label smoothing."""
    return float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))


def confusion(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts, rows true and columns predicted: int64[classes, classes]."""
    return report.confusion_matrix(labels, logits.argmax(1), logits.shape[1])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the block; every part is left in the mode in which it was found."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
