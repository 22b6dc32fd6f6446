"""The head of a network, on its own: a logistic regression on what its last linear layer is given.

Few pictures spoil published weights where a random head teaches them first; a head that fits them before the
first step does not (Kumar et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Preprocess
from smidgen.train.evaluate import accuracy, predict_logits
from smidgen.train.pixels import Examples, TrainingData, mirrored, thinned

__all__ = ["MOST_PICTURES", "cross_validated", "fit_head", "last_linear"]

# What a head is fitted to at most: more pictures hardly change it, and each takes a pass forward.
MOST_PICTURES = 2000

# Strengths of the pull on the weights of standardised features, of which validation chooses one.
_STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
_ITERATIONS = 40
# Of cross-validation: parts of the pictures, each of which is held out once; strengths that are tried.
_FOLDS, _FEW_STRENGTHS = 4, (3e-3, 3e-2, 3e-1)
# Of a feature, in those of the mean one: what hardly moves would be blown up, and tuning with it.
_LEAST_DEVIATION = 0.2


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


def fit_head(model: nn.Module, data: TrainingData, *, both_ways: bool = False) -> float | None:
    """Make the last linear layer a logistic regression on its inputs, in place; the rest stays as it is.

    both_ways  whether pictures count in their mirror images, too
    returns    accuracy on the validation pictures; None where there is no such layer with two classes or more
    """
    head = _fittable(model)
    if head is None:
        return None
    train = thinned(data.train, MOST_PICTURES)
    labels = torch.from_numpy(train.labels)
    features = _inputs(model, head, train, data.preprocess)
    if both_ways:
        features = torch.cat([features, _inputs(model, head, mirrored(train), data.preprocess)])
        labels = torch.cat([labels, labels])
    val = thinned(data.val, MOST_PICTURES)
    known = _Known(features, labels, head.out_features)
    best = _best(known, _inputs(model, head, val, data.preprocess), torch.from_numpy(val.labels))
    with torch.no_grad():
        head.weight.copy_(best.weight.T)
        head.bias.copy_(best.bias)
    return best.accuracy


def cross_validated(
    model: nn.Module, examples: Examples, preprocess: Preprocess
) -> tuple[float, float] | None:
    """Accuracy of such regressions on pictures that they were not fitted to, as they are and mirrored.

    Every picture is held out once, so that a few hundred tell as much as they can. The model stays as it is.

    returns  None where there is no such layer with two classes or more
    """
    head = _fittable(model)
    if head is None:
        return None
    labels, fold = torch.from_numpy(examples.labels), torch.arange(len(examples)) % _FOLDS
    views = [_inputs(model, head, seen, preprocess) for seen in (examples, mirrored(examples))]
    right = torch.zeros(len(_FEW_STRENGTHS), 2)
    for number in range(_FOLDS):
        held, rest = fold == number, fold != number
        scaled, scale = _standardised(views[0][rest])
        known = _Known(scaled, labels[rest], head.out_features)
        for row, strength in enumerate(_FEW_STRENGTHS):
            found = scale.undone(_regression(known, strength))
            for column, view in enumerate(views):
                right[row, column] += (found(view[held]).argmax(1) == labels[held]).sum()
    plain, turned = (right[right[:, 0].argmax()] / len(examples)).tolist()
    return plain, turned


def _fittable(model: nn.Module) -> nn.Linear | None:
    """The layer that can be a regression: the last linear one, with two classes or more."""
    head = last_linear(model)
    return None if head is None or head.out_features < 2 else head


def _inputs(model: nn.Module, head: nn.Linear, data: Examples, preprocess: Preprocess) -> Tensor:
    """What the head is given in evaluation mode, float32[N, features]."""
    seen: list[Tensor] = []
    watching = head.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone().cpu()))
    try:
        predict_logits(model, data.pictures, preprocess, device=next(model.parameters()).device)
    finally:
        watching.remove()
    return torch.cat(seen).float()


class _Scale(NamedTuple):
    """Means and deviations of features, float32[features]."""

    mean: Tensor
    deviation: Tensor

    def undone(self, head: _Head) -> _Head:
        """What answers for features as they are, where `head` does for standardised ones."""
        weight = head.weight / self.deviation[:, None]
        return _Head(weight, head.bias - self.mean @ weight)


def _standardised(features: Tensor) -> tuple[Tensor, _Scale]:
    """Features of mean 0 and deviation 1, and how to undo that."""
    deviation = features.std(0)
    scale = _Scale(features.mean(0), deviation + _LEAST_DEVIATION * deviation.mean() + 1e-6)
    return (features - scale.mean) / scale.deviation, scale


def _best(known: _Known, others: Tensor, right: Tensor) -> _Head:
    """The regression whose strength is best for `others`: by accuracy, then by loss."""
    scaled, scale = _standardised(known.features)
    found: list[_Head] = []
    for strength in _STRENGTHS:
        head = scale.undone(_regression(known._replace(features=scaled), strength))
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
