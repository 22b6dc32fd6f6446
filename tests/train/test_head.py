"""A head that is fitted is a logistic regression, and nothing else of the network changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smidgen.train.evaluate import accuracy, predict_logits
from smidgen.train.head import MOST_PICTURES, cross_validated, fit_head, last_linear
from smidgen.train.pixels import Examples, TrainingData, thinned
from tiny_training import PREPROCESS, digits, module


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return TrainingData(digits(0, 300), digits(300, 450), PREPROCESS)


def test_only_the_head_changes_and_its_accuracy_is_told(data: TrainingData) -> None:
    model = module("resnet20", 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told = fit_head(model, data)
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}
    assert told == accuracy(predict_logits(model, data.val.pictures, PREPROCESS), data.val.labels)
    assert told > 0.3  # of random features; a guess has 0.1


def test_it_answers_as_scikit_learns_regression_does(data: TrainingData) -> None:
    model = module("resnet20", 1)
    linear_model = pytest.importorskip("sklearn.linear_model")
    head = last_linear(model)
    assert head is not None
    seen: list[torch.Tensor] = []
    watching = head.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone()))
    for examples in (data.train, data.val):
        predict_logits(model, examples.pictures, PREPROCESS)
    watching.remove()
    features, others = (part.numpy() for part in (torch.cat(seen[:-1]), seen[-1]))
    mean, deviation = features.mean(0), features.std(0, ddof=1)
    deviation = deviation + 0.2 * deviation.mean()
    found = []
    for strength in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1):
        theirs = linear_model.LogisticRegression(C=1 / (strength * len(features)), max_iter=5000, tol=1e-8)
        theirs.fit((features - mean) / deviation, data.train.labels)
        found.append((theirs.score((others - mean) / deviation, data.val.labels), theirs))
    told = fit_head(model, data)
    assert told == pytest.approx(max(score for score, _ in found), abs=0.02)


def test_the_same_pictures_give_the_same_bits(data: TrainingData) -> None:
    states = []
    for _ in range(2):
        model = module("resnet20", 2)
        fit_head(model, data, both_ways=True)
        states.append(model.state_dict()["classifier.1.weight"])
    assert torch.equal(*states)


def test_a_network_without_a_linear_layer_is_left_as_it_is(data: TrainingData) -> None:
    model = module("squeezenet1_1", 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert fit_head(model, data) is None
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_held_out_pictures_are_recognised_about_as_well_as_others(data: TrainingData) -> None:
    model = module("resnet20", 3)
    found = cross_validated(model, data.train, PREPROCESS)
    assert found is not None
    told = fit_head(model, data)
    assert found[0] == pytest.approx(told, abs=0.1)
    assert found[1] < found[0] - 0.2  # left and right mean something in digits


def test_labels_of_chance_are_not_recognised(data: TrainingData) -> None:
    chance = np.random.default_rng(0).permutation(data.train.labels)
    found = cross_validated(module("resnet20", 3), Examples(data.train.pictures, chance), PREPROCESS)
    assert found is not None
    assert found[0] < 0.25  # a guess has 0.1; pictures that were fitted would have more than half


def test_many_pictures_are_thinned_evenly() -> None:
    many = Examples(np.zeros((9000, 1, 1, 1), np.uint8), np.arange(9000, dtype=np.int64))
    kept = thinned(many, MOST_PICTURES).labels
    assert len(kept) == MOST_PICTURES
    assert (kept[0], kept[-1]) == (0, 8999)
    assert set(np.diff(kept)) == {4, 5}
    assert thinned(many, 9000) is many
