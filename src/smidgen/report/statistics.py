"""What a confusion matrix can honestly say: accuracy with its interval, per-class scores, calibration."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smidgen.report.schema import Bin

__all__ = [
    "BINS",
    "ClassScores",
    "Interval",
    "balanced_accuracy",
    "balanced_interval",
    "calibration_error",
    "confusion_matrix",
    "per_class",
    "probabilities",
    "refusal_threshold",
    "reliability",
    "top_accuracy",
    "wilson",
]

BINS = 15  # of confidence, all equally wide, as Guo et al. 2017 take them


class Interval(NamedTuple):
    """A range on the 0..1 scale, both ends included."""

    low: float
    high: float


class ClassScores(NamedTuple):
    """Scores of one class on the 0..1 scale; None where a ratio is 0/0.

    precision  share of the pictures called this class that are it
    recall     share of this class's pictures that were called it
    f1         harmonic mean of the two
    support    pictures of this class
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def wilson(right: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion, which stays inside 0..1 and is honest near its ends.

    right, n  successes and trials; n at least 1
    Raises    ValueError unless 0 <= right <= n and n >= 1.
    Source    Wilson 1927, JASA 22(158), 209-212; recommended by Newcombe 1998, Stat. in Medicine 17, 857
    """
    if n < 1 or not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} is not a proportion")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, weight = right / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    # At the ends the formula gives 0 and 1 exactly; rounding would leave 1e-17 beside them.
    low = 0.0 if right == 0 else max(0.0, centre - reach)
    high = 1.0 if right == n else min(1.0, centre + reach)
    return Interval(low, high)


def confusion_matrix(true: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count pictures by true class (row) and predicted class (column).

    true, predicted  int[N], each in 0 .. classes - 1
    returns          int64[classes, classes]
    Raises           ValueError on a label outside the classes.
    """
    rows, columns = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    for labels in (rows, columns):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}, classes from 0 to {classes - 1}"
            )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def per_class(confusion: ArrayLike) -> tuple[ClassScores, ...]:
    """Precision, recall, F1 and support of each class.

    confusion  int[K, K], rows are the true classes
    """
    counts = np.asarray(confusion, np.int64)
    hits, supports, calls = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    return tuple(
        ClassScores(_ratio(hit, call), _ratio(hit, support), _ratio(2 * hit, call + support), support)
        for hit, support, call in zip(hits.tolist(), supports.tolist(), calls.tolist(), strict=True)
    )


def balanced_accuracy(confusion: ArrayLike) -> float | None:
    """Mean recall over the classes that have pictures; None when none has.

    Source   Brodersen et al. 2010, The balanced accuracy and its posterior distribution
    """
    recalls = [scores.recall for scores in per_class(confusion) if scores.recall is not None]
    return sum(recalls) / len(recalls) if recalls else None


def balanced_interval(confusion: ArrayLike) -> Interval | None:
    """95 % interval of the balanced accuracy; None when no class has pictures.

    Each recall's distance from the end of its own Wilson interval, squared and added up: classes are drawn
    independently of one another.
    Source   Zou & Donner 2008, Statistics in Medicine 27, 1693 (square and add, for a sum of several)
    """
    counts = np.asarray(confusion, np.int64)
    held = counts.sum(axis=1) > 0
    pairs = zip(np.diagonal(counts)[held].tolist(), counts.sum(axis=1)[held].tolist(), strict=True)
    ends = [(hit / n, wilson(hit, n)) for hit, n in pairs]
    if not ends:
        return None
    mean = sum(recall for recall, _ in ends) / len(ends)
    below = math.sqrt(sum((recall - end.low) ** 2 for recall, end in ends)) / len(ends)
    above = math.sqrt(sum((end.high - recall) ** 2 for recall, end in ends)) / len(ends)
    return Interval(max(0.0, mean - below), min(1.0, mean + above))


def probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    """Softmax of every row, safe from overflow.

    logits   float[N, K], K at least 1
    returns  float64[N, K], rows that add up to 1
    """
    scores = np.asarray(logits, np.float64)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def top_accuracy(logits: ArrayLike, labels: ArrayLike, top: int = 5) -> float | None:
    """Share of pictures whose class is among the `top` highest scores; None where every answer would count.

    logits   float[N, K]; equal scores rank by class index, as the first answer does
    labels   int[N]
    """
    scores, true = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if scores.shape[1] <= top or len(true) == 0:
        return None
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return float((best == true[:, None]).any(axis=1).mean())


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float | None:
    """Expected calibration error: how far confidence lies from accuracy, over equal-width bins.

    confidence  float[N], probability given to the predicted class
    right       bool[N], whether the prediction was right
    returns     mean |accuracy - confidence| of the bins, weighted by their pictures; None when N is 0
    Source      Guo et al. 2017, arXiv:1706.04599, equation 3 (bins open at the left)
    """
    filled = reliability(confidence, right, bins)
    n = sum(row["n"] for row in filled)
    return sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in filled) / n if n else None


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Mean confidence and accuracy of equal-width bins of confidence; bins without pictures are left out.

    confidence  float[N], probability given to the predicted class
    right       bool[N], whether the prediction was right
    Source      Guo et al. 2017, arXiv:1706.04599, section 2 (reliability diagrams)
    """
    given, correct = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    owner = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], given, side="left")
    held = [owner == index for index in np.unique(owner)]
    return [
        {"confidence": float(given[own].mean()), "accuracy": float(correct[own].mean()), "n": int(own.sum())}
        for own in held
    ]


def refusal_threshold(confidence: ArrayLike, keep: float = 0.95) -> float | None:
    """Highest threshold, to six digits, that at least a share `keep` of the confidences reaches.

    confidence  float[N], maximum softmax probability of pictures that do belong to the classes
    returns     None when there are none, or one is not finite
    Raises      ValueError unless 0 < keep <= 1.
    Source      Hendrycks & Gimpel 2017, arXiv:1610.02136 (the score); the threshold is our quantile
    """
    if not 0 < keep <= 1:
        raise ValueError(f"{keep} is not a share of pictures to keep")
    ranked = np.sort(np.asarray(confidence, np.float64))[::-1]
    if ranked.size == 0 or not np.isfinite(ranked).all():
        return None
    # A product such as 0.55 * 100 = 55.00000000000001 must not be rounded up to one picture more.
    needed = max(1, math.ceil(round(keep * ranked.size, 9)))
    # Rounded down, so that a picture at the threshold is kept by whoever computes in float32.
    return math.floor(float(ranked[needed - 1]) * 1e6) / 1e6


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
