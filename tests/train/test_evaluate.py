import math

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.graph import Preprocess
from smidgen.train.evaluate import (
    accuracy,
    confusion,
    cross_entropy,
    evaluated,
    none_of_these,
    predict_logits,
    scored,
)

LOGITS = np.array([[2, 1, 0], [0, 3, 1], [1, 0, 5], [4, 0, 0]], np.float32)
LABELS = np.array([0, 1, 1, 0], np.int64)


def test_accuracy_counts_the_largest_logit() -> None:
    assert accuracy(LOGITS, LABELS) == 0.75


def test_confusion_has_the_true_class_in_rows() -> None:
    assert confusion(LOGITS, LABELS).tolist() == [[2, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_cross_entropy_is_the_mean_negative_log_likelihood() -> None:
    expected = [
        math.log(sum(map(math.exp, row))) - row[label]
        for row, label in zip(LOGITS.tolist(), LABELS, strict=True)
    ]
    assert cross_entropy(LOGITS, LABELS) == pytest.approx(sum(expected) / 4, rel=1e-5)


def test_prediction_leaves_modes_and_batches_without_effect() -> None:
    norm = nn.BatchNorm2d(4).eval()
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3))
    pictures = np.random.default_rng(0).integers(0, 256, (11, 6, 6, 1), dtype=np.uint8)
    preprocess = Preprocess(6, mean=(0.5,), std=(0.5,))
    whole = predict_logits(model, pictures, preprocess)
    assert whole.shape == (11, 3)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(predict_logits(model, pictures, preprocess, batch_size=4), whole, atol=1e-6)
    assert [module.training for module in model] == [True, False, True, True, True]
    torch.testing.assert_close(norm.running_mean, torch.zeros(4))


def test_accuracy_and_interval_stand_on_the_counted_pictures() -> None:
    logits = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    labels = np.array([0, 1, 2, 3, 1, 1, 2, 3])
    row = scored(logits, labels)
    assert (row["accuracy"], row["n"]) == (0.875, 8)
    # Wilson 1927, 7 of 8 at 95 %: (p + z²/2n ± z·sqrt(pq/n + z²/4n²)) / (1 + z²/n)
    z, p, n = 1.959964, 0.875, 8
    centre, spread = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    expected = [(centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)]
    assert row["interval"] == pytest.approx(expected, abs=1e-6)


def test_what_is_tested_beyond_accuracy_comes_from_the_logits() -> None:
    # Two classes of six hold pictures: three of four and one of two are called right, with 9/14 each.
    logits = np.log(9.0) * np.eye(6, dtype=np.float32)[[0, 0, 0, 5, 1, 5]]
    row = evaluated(logits, np.array([0, 0, 0, 0, 1, 1]))
    assert row["accuracy"] == pytest.approx(4 / 6)
    assert row["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    # Ties rank by index, so class 0 or 1 is always among the first five.
    assert row["top5_accuracy"] == 1.0
    assert row["calibration_error"] == pytest.approx(4 / 6 - 9 / 14, abs=1e-6)


def test_none_of_these_says_how_many_are_kept_and_right() -> None:
    # Maximum probabilities 0.55, 0.56, …, 0.74 of twenty pictures; the least sure is the one that is wrong.
    high = np.linspace(0.55, 0.74, 20)
    logits = np.log(np.stack([high, 1 - high], 1)).astype(np.float32)
    row = none_of_these(logits, np.array([1] + [0] * 19))
    assert row is not None
    assert row["threshold"] == pytest.approx(0.56, abs=2e-6)
    assert (row["kept"], row["n"], row["kept_accuracy"]) == (0.95, 20, 1.0)
    assert row["score"] == "maximum softmax probability"
    unlabelled = none_of_these(logits)
    assert unlabelled is not None
    assert unlabelled["kept_accuracy"] is None
    assert none_of_these(np.empty((0, 2), np.float32)) is None


def test_the_threshold_is_what_most_of_the_pictures_reach() -> None:
    refusal = none_of_these(np.array([[0, 0, 9], [0, 0, 9]], np.float32))
    assert refusal
    assert (refusal["n"], refusal["kept"], refusal["kept_accuracy"]) == (2, 1.0, None)
    assert refusal["threshold"] == pytest.approx(np.exp(9) / (np.exp(9) + 2), abs=2e-6)
