"""A training that stops anywhere and goes on ends as if it had never stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from smidgen.train import checkpoint
from smidgen.train.checkpoint import CheckpointError
from smidgen.train.errors import Interrupted, TrainingError
from smidgen.train.loop import Training
from smidgen.train.recipe import Recipe
from tiny_training import PLAN, training, weights

STEPS = 15  # 5 an epoch


def stopped_at(step: int, folder: Path, plan: Recipe = PLAN) -> None:
    one = training(plan)
    with pytest.raises(Interrupted):
        one.run(checkpoints=folder, stopping=lambda: one.step >= step)
    assert one.step == step


def resumed(folder: Path, plan: Recipe = PLAN) -> Training:
    found = checkpoint.latest(folder)
    assert found is not None
    one = training(plan)
    one.restore(found)
    return one


PLANS = [
    PLAN,
    dataclasses.replace(PLAN, optimiser="sgd", learning_rate=0.05, mixup=0.2, cutmix=1.0),
    dataclasses.replace(PLAN, optimiser="rmsprop", ema_decay=0.0, learning_rate=1e-3),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.optimiser)
def test_a_stop_anywhere_changes_no_bit(plan: Recipe, tmp_path: Path) -> None:
    whole = training(plan)
    whole.run()
    expected = weights(whole)
    for step in (1, 4, 5, 8, 14):
        stopped_at(step, tmp_path / str(step), plan)
        one = resumed(tmp_path / str(step), plan)
        one.run()
        assert all(torch.equal(value, expected[name]) for name, value in weights(one).items())
        for a, b in zip(one.rows, whole.rows, strict=True):
            assert dataclasses.replace(a, seconds=0) == dataclasses.replace(b, seconds=0)


def test_a_pause_after_an_epoch_changes_no_bit(tmp_path: Path) -> None:
    whole = training()
    whole.run()
    training().run(until=1, checkpoints=tmp_path)
    one = resumed(tmp_path)
    assert one.step == 5
    one.run()
    expected = weights(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights(one).items())


def test_seconds_go_on_counting(tmp_path: Path) -> None:
    stopped_at(7, tmp_path)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    one = resumed(tmp_path)
    one.run()
    assert one.rows[-1].seconds > found.position["seconds"] > one.rows[0].seconds


def test_another_recipe_seed_or_network_is_refused(tmp_path: Path) -> None:
    stopped_at(2, tmp_path)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    with pytest.raises(CheckpointError, match="of another recipe or seed"):
        training(dataclasses.replace(PLAN, learning_rate=0.1)).restore(found)
    with pytest.raises(CheckpointError, match="of another network"):
        training(name="shiftresnet20_e1").restore(found)


def test_the_last_good_state_outlives_a_divergence(tmp_path: Path) -> None:
    good = training()
    good.run(until=1, checkpoints=tmp_path)
    one = resumed(tmp_path)
    with torch.no_grad():
        next(one.model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="with --learning-rate"):
        one.run(checkpoints=tmp_path, every=0)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert all(bool(value.isfinite().all()) for value in found.tensors["model"].values())
