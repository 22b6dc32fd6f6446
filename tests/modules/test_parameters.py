import pytest
from torch import nn

from smidgen.modules import count_parameters, create


def test_total_of_b0_is_the_published_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert count_parameters(create("efficientnet_b0")) == 5_288_548
    assert capsys.readouterr().out.endswith("+\nTotal Trainable Params: 5288548\n")


def test_frozen_parameters_are_left_out_and_shared_ones_count_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 2)})
    model["c"] = model["a"]
    model["b"].requires_grad_(False)
    assert count_parameters(model) == 9
    printed = capsys.readouterr().out
    assert "a.weight" in printed
    assert "b.weight" not in printed
    assert "c.weight" not in printed


def test_a_module_without_parameters_counts_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert count_parameters(nn.ReLU()) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Total Trainable Params: 0"
