"""The head of a network, on its own: a logistic regression on what its last linear layer is given.

Few pictures spoil published weights where a random head teaches them first; a head that fits them before the
first step does not (Kumar et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Preprocess
from smidgen.train.evaluate import accuracy, predict_logits
from smidgen.train.pixels import Examples, TrainingData

__all__ = ["MOST_PICTURES", "fit_head", "last_linear", "thinned"]

# What a head is fitted to at most: more pictures hardly change it, and each takes a pass forward.
MOST_PICTURES = 4000

# Strengths of the pull on the weights of standardised features, of which validation chooses one.
_STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
_ITERATIONS = 60
_LEAST_DEVIATION = 1e-3  # of a feature: one that hardly moves would be blown up


class _Known(NamedTuple):
    """What a regression learns from: float32[N, features], int64[N], and how many classes there are."""

    features: Tensor
    labels: Tensor
    classes: int


class _Head(NamedTuple):
    """Weights float32[features, classes] and biases float32[classes], on features as they are.

    accuracy, loss  on the validation pictures
    """

    weight: Tensor
    bias: Tensor
    accuracy: float = 0.0
    loss: float = 0.0

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self.weight + self.bias


def last_linear(model: nn.Module) -> nn.Linear | None:
    """The linear layer that a network ends with; None where it ends otherwise."""
    return next((module for module in reversed(list(model.modules())) if isinstance(module, nn.Linear)), None)


def thinned(examples: Examples, most: int = MOST_PICTURES) -> Examples:
    """So many of the examples at most, evenly spread."""
    if len(examples) <= most:
        return examples
    kept = np.linspace(0, len(examples) - 1, most).round().astype(np.int64)
    return Examples(examples.pictures[kept], examples.labels[kept])


def fit_head(model: nn.Module, data: TrainingData, *, mirrored: bool = False) -> float | None:
    """Make the last linear layer a logistic regression on its inputs, in place; the rest stays as it is.

    mirrored  whether pictures count in their mirror images, too
    returns   accuracy on the validation pictures; None where there is no such layer with two classes or more
    """
    head = last_linear(model)
    if head is None or head.out_features < 2:
        return None
    train = thinned(data.train)
    labels = torch.from_numpy(train.labels)
    features = _inputs(model, head, train, data.preprocess)
    if mirrored:
        features = torch.cat([features, _inputs(model, head, _mirrored(train), data.preprocess)])
        labels = torch.cat([labels, labels])
    val = thinned(data.val)
    known = _Known(features, labels, head.out_features)
    best = _best(known, _inputs(model, head, val, data.preprocess), torch.from_numpy(val.labels))
    with torch.no_grad():
        head.weight.copy_(best.weight.T)
        head.bias.copy_(best.bias)
    return best.accuracy


def _mirrored(examples: Examples) -> Examples:
    return Examples(np.ascontiguousarray(examples.pictures[:, :, ::-1]), examples.labels)


def _inputs(model: nn.Module, head: nn.Linear, data: Examples, preprocess: Preprocess) -> Tensor:
    """What the head is given in evaluation mode, float32[N, features]."""
    seen: list[Tensor] = []
    watching = head.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone().cpu()))
    try:
        predict_logits(model, data.pictures, preprocess, device=next(model.parameters()).device)
    finally:
        watching.remove()
    return torch.cat(seen).float()


def _best(known: _Known, others: Tensor, right: Tensor) -> _Head:
    """The regression whose strength is best for `others`: by accuracy, then by loss."""
    mean, deviation = known.features.mean(0), known.features.std(0) + _LEAST_DEVIATION
    scaled = known._replace(features=(known.features - mean) / deviation)
    found: list[_Head] = []
    for strength in _STRENGTHS:
        own = _regression(scaled, strength)
        weight = own.weight / deviation[:, None]
        head = _Head(weight, own.bias - mean @ weight)
        answers = head(others)
        share = accuracy(answers.numpy(), right.numpy())
        found.append(head._replace(accuracy=share, loss=float(F.cross_entropy(answers, right))))
    return max(found, key=lambda head: (head.accuracy, -head.loss))


def _regression(known: _Known, strength: float) -> _Head:
    """Least mean cross-entropy plus `strength` times half the square of the weights."""
    weight = torch.zeros(known.features.shape[1], known.classes, requires_grad=True)
    bias = torch.zeros(known.classes, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], 1.0, _ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> float:
        search.zero_grad()
        answers = known.features @ weight + bias
        value = F.cross_entropy(answers, known.labels) + strength / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    search.step(loss)  # type: ignore[no-untyped-call]
    return _Head(weight.detach(), bias.detach())
