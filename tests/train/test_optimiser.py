import dataclasses

import pytest
from torch import nn

from smidgen.train.optimiser import learning_rate, optimiser
from smidgen.train.recipe import Decayed, Optimiser, Recipe, recipe

BASE = Recipe(epochs=10, batch_size=8, learning_rate=1.0, weight_decay=0.1)


def test_warm_up_rises_linearly_and_cosine_falls_to_zero() -> None:
    row = dataclasses.replace(BASE, warmup_epochs=2)
    rates = [learning_rate(row, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1
    assert rates[30] == pytest.approx(0.5)
    assert rates[49] < 0.002
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_shiftresnet_divides_by_ten_at_epochs_82_and_123() -> None:
    row = recipe("shiftresnet")
    at = {epoch: learning_rate(row, epoch * 391, 391) for epoch in (0, 81, 82, 122, 123, 163)}
    assert at == pytest.approx({0: 0.1, 81: 0.1, 82: 0.01, 122: 0.01, 123: 0.001, 163: 0.001})


def test_efficientnet_falls_by_three_percent_every_2_4_epochs() -> None:
    row = recipe("efficientnet")
    at = [learning_rate(row, round(epoch * 1000), 1000) for epoch in (7.1, 7.3, 9.5, 9.7)]
    assert at == pytest.approx([0.016 * 0.97**power for power in (2, 3, 3, 4)])


def test_linear_schedule_is_half_way_in_the_middle() -> None:
    row = dataclasses.replace(BASE, schedule="linear")
    assert learning_rate(row, 25, 5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("decayed", "names"),
    [
        ("weights", {"0.weight"}),
        ("weights and biases", {"0.weight", "0.bias"}),
        ("all", {"0.weight", "0.bias", "1.weight", "1.bias"}),
    ],
)
def test_decay_pulls_on_what_the_recipe_names(decayed: Decayed, names: set[str]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    groups = optimiser(model, dataclasses.replace(BASE, decayed=decayed)).param_groups
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    pulled = {name_of[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert pulled == names
    assert sum(len(group["params"]) for group in groups) == 4


@pytest.mark.parametrize("kind", ["adamw", "sgd", "rmsprop"])
def test_frozen_parameters_are_left_out(kind: Optimiser) -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    groups = optimiser(model, dataclasses.replace(BASE, optimiser=kind)).param_groups
    assert [parameter is model.weight for group in groups for parameter in group["params"]] == [True]
