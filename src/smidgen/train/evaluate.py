"""What a trained model says about pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    "answers",
    "balanced_accuracy",
    "confusion",
    "cross_entropy",
    "evaluated",
    "evaluating",
    "none_of_these",
    "predict_logits",
    "scored",
]

KEEP = 0.95  # of the validation pictures, all of which belong to the classes


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


def scored(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy as a fraction, its 95 % interval, and how many pictures it stands on."""
    right = accuracy(logits, labels)
    low, high = report.wilson(round(right * len(labels)), len(labels))
    return {"accuracy": right, "interval": [low, high], "n": len(labels)}


def evaluated(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """`scored`, and what the logits say beyond it: top-5, balanced accuracy, calibration error."""
    confidence, right = answers(logits, labels)
    return scored(logits, labels) | {
        "top5_accuracy": report.top_accuracy(logits, labels),
        "balanced_accuracy": report.balanced_accuracy(confusion(logits, labels)),
        "calibration_error": report.calibration_error(confidence, right),
    }


def none_of_these(
    logits: NDArray[np.float32], labels: NDArray[np.int64] | None = None, keep: float = KEEP
) -> dict[str, Any] | None:
    """The threshold that a share `keep` of these pictures reaches, all of which belong to the classes.

    logits   float[N, classes] of pictures that the model was not trained on: the validation part
    labels   int[N], for the share of right answers among the kept
    returns  None where there are no pictures
    Source   Hendrycks & Gimpel 2017, arXiv:1610.02136: the maximum softmax probability as the score
    """
    confidence = report.probabilities(logits).max(axis=1)
    threshold = report.refusal_threshold(confidence, keep)
    if threshold is None:
        return None
    kept = confidence >= threshold
    right = None if labels is None else float((logits.argmax(1) == labels)[kept].mean())
    return {
        "score": "maximum softmax probability",
        "threshold": threshold,
        "kept": float(kept.mean()),
        "n": len(kept),
        "kept_accuracy": right,
    }


def answers(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probability of the answer given to each picture, and whether it was right."""
    return report.probabilities(logits).max(axis=1), logits.argmax(1) == labels
