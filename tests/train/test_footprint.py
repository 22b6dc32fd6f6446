"""What a training is estimated to take, and batches cut to fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import families
from smidgen.modules import create
from smidgen.train.footprint import (
    MOST_PREDICTED,
    batch_within,
    parts_within,
    prediction_batch,
    splits_exactly,
    training_bytes,
)
from smidgen.train.loop import Training
from smidgen.train.pixels import Examples, TrainingData
from smidgen.train.recipe import Recipe, recipe

torch.set_num_threads(1)

SMALL = families.network("squeezenet1_1", num_classes=4, resolution=32)
NORMED = families.network("resnet20", num_classes=4, resolution=16)


def test_a_network_without_batchnorm_splits_exactly_and_one_with_it_only_where_it_is_frozen() -> None:
    small, tuning = recipe("small"), recipe("tuning")
    assert splits_exactly(SMALL, small)
    assert not splits_exactly(NORMED, small)
    assert splits_exactly(NORMED, tuning)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(10**7, 10**10))
def test_parts_are_the_fewest_that_fit(batch: int, room: int) -> None:
    asked = dataclasses.replace(recipe("small"), batch_size=max(2, batch))
    parts = parts_within(SMALL, asked.batch_size, room)
    if parts is None:
        alone = dataclasses.replace(asked, parts=asked.batch_size)
        assert training_bytes(SMALL, alone) > room
        return
    assert training_bytes(SMALL, dataclasses.replace(asked, parts=parts)) <= room
    if parts > (parts_within(SMALL, asked.batch_size) or 1):
        fewer = dataclasses.replace(asked, parts=parts - 1)
        assert training_bytes(SMALL, fewer) > room


@given(st.integers(10**7, 10**10), st.integers(8, 256))
def test_a_smaller_batch_is_the_largest_half_that_fits(room: int, most: int) -> None:
    found = batch_within(NORMED, room, most)

    def fits(batch: int) -> bool:
        return training_bytes(NORMED, dataclasses.replace(recipe("small"), batch_size=batch)) <= room

    if found is None:
        assert not fits(8)
    else:
        assert fits(found)
        assert found == most or not fits(2 * found)


def data(count: int, side: int) -> Examples:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Examples(pictures, random.integers(0, 4, count))


def trained(parts: int, plan: Recipe) -> dict[str, torch.Tensor]:
    """Weights after three epochs of two batches each, dropout among what happens there."""
    torch.manual_seed(0)
    pixels = data(20, 32)
    model = create(SMALL).double()
    wide = dataclasses.replace(plan, epochs=3, batch_size=10, parts=parts, ema_decay=0.0, warmup_epochs=0.0)
    training = Training(model, wide, TrainingData(pixels, pixels, SMALL.preprocess))
    training.run()
    return training.model.state_dict()


@pytest.mark.parametrize("parts", [2, 3, 10, 64])
def test_a_batch_in_parts_gives_the_result_of_the_whole(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In double precision, where rounding hides no mistake; dropout draws for each sample of its own."""
    monkeypatch.setattr("smidgen.train.batches.normalise", doubled)
    monkeypatch.setattr("smidgen.train.evaluate.normalise", doubled)
    plain = dataclasses.replace(recipe("squeezenet"), learning_rate=1e-3)
    whole, cut = trained(1, plain), trained(parts, plain)
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-4, atol=1e-6)


def doubled(unit: torch.Tensor, preprocess: object) -> torch.Tensor:
    del preprocess
    return unit.double() - 0.5


def test_fewer_pictures_are_predicted_at_once_where_their_maps_are_large() -> None:
    assert prediction_batch(NORMED) == MOST_PREDICTED
    large = families.network("efficientnet_b7", num_classes=4, resolution=600)
    assert 1 <= prediction_batch(large) < 8
