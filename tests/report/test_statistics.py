"""Statistics against figures that others published."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.report.statistics import (
    balanced_accuracy,
    calibration_error,
    confusion_matrix,
    per_class,
    probabilities,
    refusal_threshold,
    reliability,
    top_accuracy,
    wilson,
)

# Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3 (score without continuity correction)
NEWCOMBE = (
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
)


@pytest.mark.parametrize(("right", "n", "low", "high"), NEWCOMBE)
def test_wilson_equals_newcombes_table(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_solve_the_score_equation_and_hold_the_share(case: tuple[int, int]) -> None:
    right, n = case
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    for end in (low, high):
        # Wilson's interval is where |share - p| = z * sqrt(p (1 - p) / n).
        assert (right / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(right, n)


def test_balanced_accuracy_equals_scikit_learns_documented_example() -> None:
    matrix = confusion_matrix([0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1], classes=2)
    assert matrix.tolist() == [[3, 1], [1, 1]]
    assert balanced_accuracy(matrix) == 0.625


def test_per_class_scores_equal_scikit_learns_documented_example() -> None:
    pig, dog, cat = range(3)
    true, called = [cat, dog, pig, cat, dog, pig], [cat, pig, dog, cat, cat, dog]
    scores = per_class(confusion_matrix(true, called, classes=3))
    assert [score.precision for score in scores] == pytest.approx([0, 0, 2 / 3])
    assert [score.recall for score in scores] == pytest.approx([0, 0, 1])
    assert [score.f1 for score in scores] == pytest.approx([0, 0, 0.8])
    assert [score.support for score in scores] == [2, 2, 2]


def test_a_class_without_pictures_has_no_recall_and_does_not_pull_the_balance_down() -> None:
    matrix = [[4, 0, 0], [0, 0, 0], [1, 0, 3]]
    assert per_class(matrix)[1] == (None, None, None, 0)
    assert balanced_accuracy(matrix) == pytest.approx((1 + 0.75) / 2)
    assert balanced_accuracy(np.zeros((2, 2), np.int64)) is None


def test_calibration_error_equals_torchmetrics_documented_example() -> None:
    # Documented for MulticlassCalibrationError(num_classes=3, n_bins=3, norm="l1"): 0.2000
    assert calibration_error([0.55, 0.55, 0.60, 0.90], [False, False, True, True], bins=3) == pytest.approx(
        0.2
    )
    assert calibration_error([], []) is None


def test_a_confidence_of_nothing_and_one_of_everything_fall_into_the_end_bins() -> None:
    assert calibration_error([0.0, 1.0], [False, True]) == 0


def test_a_label_outside_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="classes from 0 to 1"):
        confusion_matrix([0, 2], [0, 1], classes=2)


def test_probabilities_are_the_softmax_also_of_huge_logits() -> None:
    assert probabilities([[0.0, math.log(3.0)]])[0] == pytest.approx([0.25, 0.75])
    assert probabilities([[1e4, 1e4 + math.log(3.0)]])[0] == pytest.approx([0.25, 0.75])
    assert probabilities(np.array([[3e38, -3e38]], np.float32)).tolist() == [[1.0, 0.0]]


def test_top_accuracy_equals_scikit_learns_documented_example() -> None:
    # top_k_accuracy_score(y_true, y_score, k=2) is documented as 0.75
    scores = [[0.5, 0.2, 0.2], [0.3, 0.4, 0.2], [0.2, 0.4, 0.3], [0.7, 0.2, 0.1]]
    assert top_accuracy(scores, [0, 1, 2, 2], top=2) == 0.75


@pytest.mark.parametrize(("classes", "known"), [(2, False), (5, False), (6, True)])
def test_top_5_means_nothing_where_there_are_5_classes(classes: int, known: bool) -> None:
    assert (top_accuracy(np.eye(classes), np.arange(classes)) is not None) is known
    assert top_accuracy(np.empty((0, classes)), []) is None


ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80)


@given(ANSWERS, st.integers(1, 20))
def test_the_bins_hold_every_picture_once_and_keep_its_confidence(
    answers: list[tuple[float, bool]], bins: int
) -> None:
    confidence, right = zip(*answers, strict=True)
    rows = reliability(confidence, right, bins)
    assert sum(row["n"] for row in rows) == len(answers)
    assert sum(row["n"] * row["accuracy"] for row in rows) == pytest.approx(sum(right))
    assert sum(row["n"] * row["confidence"] for row in rows) == pytest.approx(sum(confidence))
    assert len(rows) <= bins
    for before, after in itertools.pairwise(rows):
        assert before["confidence"] < after["confidence"]
    error = calibration_error(confidence, right, bins)
    assert error is not None
    # By the triangle inequality no binning can do better than one bin that holds everything.
    assert error >= abs(np.mean(right) - np.mean(confidence)) - 1e-12


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=200), st.sampled_from([0.05, 0.5, 0.55, 0.9, 0.95, 1.0])
)
def test_the_threshold_keeps_the_share_and_a_higher_one_would_not(
    confidence: list[float], keep: float
) -> None:
    threshold = refusal_threshold(confidence, keep)
    assert threshold is not None
    reached = sum(value >= threshold for value in confidence)
    assert reached / len(confidence) >= keep - 1e-12
    assert sum(value >= threshold + 1.01e-6 for value in confidence) < keep * len(confidence)


def test_the_threshold_of_a_hundred_pictures_leaves_five_below() -> None:
    confidence = np.arange(1, 101) / 100
    assert refusal_threshold(confidence) == pytest.approx(0.06)
    assert (confidence >= (refusal_threshold(confidence) or 0)).sum() == 95


def test_a_threshold_needs_pictures_with_a_confidence() -> None:
    assert refusal_threshold([]) is None
    assert refusal_threshold([0.5, float("nan")]) is None
    for keep in (0.0, 1.01, -1.0):
        with pytest.raises(ValueError, match="not a share"):
            refusal_threshold([0.5], keep)
