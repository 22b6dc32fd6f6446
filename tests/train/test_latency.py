import time

import pytest
import torch
from torch import Tensor, nn

from smidgen.spec import Shape
from smidgen.train.latency import machine_name, measure


class Slow(nn.Module):
    """Sleeps a known time, every tenth call four times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.shapes: set[tuple[int, ...]] = set()

    def forward(self, x: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        assert not self.training
        self.shapes.add(tuple(x.shape))
        self.calls += 1
        time.sleep(0.008 if self.calls % 10 == 0 else 0.002)
        return x


def test_median_and_percentile_are_those_of_a_sleep() -> None:
    model = Slow()
    row = measure(model, Shape(3, 5, 4))
    assert model.shapes == {(1, 3, 5, 4)}
    assert 2.0 <= row["value"] < 4.0
    assert 8.0 <= row["p95"] < 16.0


def test_the_row_names_what_it_was_measured_on() -> None:
    row = measure(nn.Identity(), Shape(1, 2, 2))
    assert row["device"] == f"{machine_name()}, torch {torch.__version__} eager"
    assert (row["precision"], row["threads"]) == ("fp32", torch.get_num_threads())


def test_the_machine_has_a_name_of_one_line() -> None:
    assert machine_name().strip()
    assert machine_name().isprintable()


@pytest.mark.parametrize("training", [True, False])
def test_statistics_of_the_model_are_left_alone(training: bool) -> None:
    norm = nn.BatchNorm2d(2).train(training)
    measure(norm, Shape(2, 3, 3))
    assert norm.num_batches_tracked == 0
