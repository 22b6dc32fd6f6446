"""Times of steps that were never timed: here of a machine that is a formula."""

import math
import random

import pytest

from smidgen.program import Work
from smidgen.scaling.latency import Peaks, StepModel

PEAKS = Peaks(gflops=100.0, copies=20.0, panel=16)


def machine(step: Work) -> float:
    """Milliseconds; unlike the model's estimate in its shape, so that it has to learn."""
    panels = -(-step.c_out // PEAKS.panel)
    work = float((step.pixels * step.c_in * panels * step.kernel**2) ** 0.97)
    return 1e-3 + 7e-7 * work * (1.5 if step.runs else 1.0) + 1e-6 * step.pixels


def drawn(count: int, seed: int, kind: str = "conv") -> list[Work]:
    generator = random.Random(seed)

    def size(low: int, high: int) -> int:
        return round(math.exp(generator.uniform(math.log(low), math.log(high))))

    return [
        Work(
            kind, generator.choice((1, 3)), 1, size(4, 256), size(4, 256), side := size(4, 64), side,
            runs=9 * (generator.random() < 0.3),
        )
        for _ in range(count)
    ]  # fmt: skip


def test_unseen_steps_come_within_a_tenth() -> None:
    model = StepModel({step: machine(step) for step in drawn(600, seed=1)}, PEAKS)
    errors = sorted(abs(model.ms([step]) / machine(step) - 1) for step in drawn(200, seed=2))
    assert errors[len(errors) // 2] < 0.04
    assert errors[int(0.9 * len(errors))] < 0.1


def test_the_time_of_steps_is_the_sum_of_theirs() -> None:
    model = StepModel({step: machine(step) for step in drawn(100, seed=1)}, PEAKS)
    steps = drawn(20, seed=3)
    assert model.ms(steps) == pytest.approx(sum(model.ms([step]) for step in steps))
    assert model.ms([]) == 0


def test_a_machine_twice_as_slow_takes_twice_as_long() -> None:
    steps, unseen = drawn(200, seed=1), drawn(30, seed=4)
    one = StepModel({step: machine(step) for step in steps}, PEAKS)
    two = StepModel({step: 2 * machine(step) for step in steps}, PEAKS)
    assert two.ms(unseen) == pytest.approx(2 * one.ms(unseen))


def test_a_kind_that_was_never_timed_is_taken_for_as_slow_as_the_others() -> None:
    step = Work("pooling", 3, 2, 64, 64, 28, 28)
    slow, slower = (
        StepModel({other: factor * machine(other) for other in drawn(100, seed=1)}, PEAKS)
        for factor in (1, 10)
    )
    assert slower.ms([step]) == pytest.approx(10 * slow.ms([step]))
