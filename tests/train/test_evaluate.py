import math

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.graph import Preprocess
from smidgen.train.evaluate import accuracy, confusion, cross_entropy, predict_logits

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
