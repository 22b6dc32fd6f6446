import math

import pytest
import torch
from torch import nn

from smidgen.graph import Init
from smidgen.modules.init import initialise

# rule, expected spread for 96 -> 192 channels, kernel 3, groups 1 and 96 (one input channel a filter)
SPREADS: list[tuple[Init, float, float]] = [
    ("fan_out", math.sqrt(2 / (9 * 192)), math.sqrt(2 / (9 * 2))),
    ("fan_out_ungrouped", math.sqrt(2 / (9 * 192)), math.sqrt(2 / (9 * 192))),
    ("he_uniform", math.sqrt(2 / (9 * 96)), math.sqrt(2 / 9)),
    ("xavier_uniform", math.sqrt(1 / (9 * 96)), math.sqrt(1 / 9)),
    ("normal_01", 0.01, 0.01),
    ("uniform_fan_out", math.sqrt(1 / (3 * 192)), math.sqrt(1 / (3 * 192))),
    ("torch", math.sqrt(1 / (3 * 9 * 96)), math.sqrt(1 / (3 * 9))),
]


@pytest.mark.parametrize(("rule", "dense", "depthwise"), SPREADS)
def test_weights_have_the_spread_of_their_rule(rule: Init, dense: float, depthwise: float) -> None:
    torch.manual_seed(0)
    for groups, spread in ((1, dense), (96, depthwise)):
        conv = nn.Conv2d(96, 192, 3, groups=groups)
        initialise(conv, rule)
        weight = conv.weight.detach()
        assert float(weight.std()) == pytest.approx(spread, rel=0.06)
        assert abs(float(weight.mean())) < 4 * spread / weight.numel() ** 0.5


@pytest.mark.parametrize("rule", ["he_uniform", "xavier_uniform", "uniform_fan_out"])
def test_uniform_rules_stay_inside_their_bound_and_reach_it(rule: Init) -> None:
    linear = nn.Linear(400, 100)
    initialise(linear, rule)
    bound = {"he_uniform": math.sqrt(6 / 400), "xavier_uniform": math.sqrt(3 / 400), "uniform_fan_out": 0.1}[
        rule
    ]
    assert 0.99 * bound < float(linear.weight.detach().abs().max()) <= bound


@pytest.mark.parametrize("rule", [rule for rule, _, _ in SPREADS])
def test_biases_are_zero_except_torchs_own(rule: Init) -> None:
    linear = nn.Linear(10, 10)
    initialise(linear, rule)
    assert bool(linear.bias.any()) == (rule == "torch")


def test_he_uniform_draws_what_the_seeds_loop_draws() -> None:
    ours, theirs = nn.Conv2d(8, 4, 3), nn.Conv2d(8, 4, 3)
    torch.manual_seed(1)
    initialise(ours, "he_uniform")
    torch.manual_seed(1)
    nn.init.kaiming_uniform_(theirs.weight)
    assert torch.allclose(ours.weight, theirs.weight)
