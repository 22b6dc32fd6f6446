"""What a confusion matrix can honestly say: accuracy with its interval, per-class scores, calibration."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ClassScores",
    "Interval",
    "balanced_accuracy",
    "calibration_error",
    "confusion_matrix",
    "per_class",
    "wilson",
]


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


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float | None:
    """Expected calibration error: how far confidence lies from accuracy, over equal-width bins.

    confidence  float[N], probability given to the predicted class
    right       bool[N], whether the prediction was right
    returns     mean |accuracy - confidence| of the bins, weighted by their pictures; None when N is 0
    Source      Guo et al. 2017, arXiv:1706.04599, equation 3 (bins open at the left)
    """
    given, correct = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if given.size == 0:
        return None
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    owner = np.searchsorted(edges, given, side="left")
    gaps = np.bincount(owner, weights=correct - given, minlength=bins)
    return float(np.abs(gaps).sum() / given.size)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
