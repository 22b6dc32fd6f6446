"""Steps that are recorded and replayed train as steps that are not.

No GPU is needed: `Tape` repeats torch's operators on the same tensors, and nothing of the Python around
them, as a CUDA graph does. A number that changes from step to step outside a tensor would stay as it was.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from smidgen.train import checkpoint
from smidgen.train.loop import Training
from smidgen.train.parallel import ALONE, World
from smidgen.train.recipe import Recipe
from smidgen.train.replay import WARM, CudaGraphs, Replayed, recorder
from smidgen.train.stopwatch import Timer
from tiny_training import PLAN, module, training, weights


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, _tensors(result)))
        return result


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda leaf: found.append(leaf) if isinstance(leaf, Tensor) else None, value)
    return found


class Tape:
    """Recorder for processors."""

    def __init__(self) -> None:
        self.warmed = self.recorded = self.replayed = 0

    def warm(self, step: Callable[[], None]) -> None:
        self.warmed += 1
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        with _Recording() as recording:
            step()

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            now: dict[int, Tensor] = {}

            def current(leaf: Any) -> Any:
                return now.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf

            for func, args, kwargs, made in recording.calls:
                result = func(*tree_map(current, args), **tree_map(current, kwargs))
                for before, after in zip(made, _tensors(result), strict=True):
                    now.setdefault(id(before), after)

        return replay


class Python:
    """No recorder: does the step again, all of it."""

    def warm(self, step: Callable[[], None]) -> None:
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        step()
        return step


CPU = torch.device("cpu")
# Of 75 pictures, seven batches an epoch, of 11 and of 10.
UNEVEN = dataclasses.replace(PLAN, batch_size=12, class_weights=True)
PLANS = [UNEVEN, dataclasses.replace(UNEVEN, optimiser="sgd", learning_rate=0.05, ema_decay=0.0)]


def same(one: Training, other: Training) -> bool:
    expected = weights(other)
    return all(torch.equal(value, expected[name]) for name, value in weights(one).items())


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.optimiser)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "shiftresnet20_e1"])
def test_replayed_steps_change_no_bit(plan: Recipe, name: str) -> None:
    tape = Tape()
    usual, replayed = training(plan, name, Python()), training(plan, name, tape)
    usual.run()
    replayed.run()
    assert (tape.warmed, tape.recorded, tape.replayed) == (WARM + 1, 2, 21 - WARM - 1 - 2)
    assert same(replayed, usual)
    for a, b in zip(replayed.rows, usual.rows, strict=True):
        assert dataclasses.replace(a, seconds=0) == dataclasses.replace(b, seconds=0)


def test_after_a_resume_steps_are_recorded_anew(tmp_path: Path) -> None:
    usual = training(UNEVEN, record=Python())
    usual.run()
    training(UNEVEN, record=Tape()).run(until=1, checkpoints=tmp_path)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    tape = Tape()
    one = training(UNEVEN, record=tape)
    one.run(until=1)
    one.restore(found)
    one.run()
    assert tape.recorded == 4
    assert same(one, usual)


def test_the_speed_is_measured_on_replayed_steps() -> None:
    tape = Tape()
    one = training(UNEVEN, record=tape)
    assert one.epoch_seconds(0.0) > 0
    assert tape.recorded >= 1
    assert tape.replayed >= 2
    assert one.timer.seconds["replay"] > 0


def test_what_cannot_be_recorded_runs_as_usual() -> None:
    class Refuses(Tape):
        def record(self, _step: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    usual, one = training(UNEVEN, record=Python()), training(UNEVEN, record=Refuses())
    usual.run()
    with pytest.warns(UserWarning, match=r"not recorded .* when stream is capturing$"):
        one.run()
    assert same(one, usual)


def test_each_number_is_warmed_and_recorded_for_itself() -> None:
    total, tape = torch.zeros(2), Tape()

    def step(number: int, x: Tensor) -> None:
        total.add_(x * number)

    steps = Replayed(tape, Timer())
    for number in (1, 1, 1, 1, 1, 2, 2, 2, 1):
        steps(step, number, torch.ones(2))
    assert total.tolist() == [12, 12]
    assert (tape.warmed, tape.recorded, tape.replayed) == (WARM + 1, 2, 3)


def test_processors_and_processes_record_nothing() -> None:
    small = module("shiftresnet20_e1", 0)
    assert recorder(small, PLAN, CPU, ALONE) is None
    gpu = torch.device("cuda")
    assert recorder(small, PLAN, gpu, World(0, 2, "cuda")) is None
    assert recorder(small, dataclasses.replace(PLAN, optimiser="rmsprop"), gpu, ALONE) is None
    assert recorder(module("efficientnet_b0", 0), PLAN, gpu, ALONE) is None


def test_a_finished_training_leaves_memory_at_once() -> None:
    one = training(UNEVEN, "shiftresnet20_e1", Tape())
    one.run(until=1)
    gone = weakref.ref(one)
    del one
    assert gone() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.optimiser)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "shiftresnet20_e1"])
def test_a_cuda_graph_trains_like_single_launches(plan: Recipe, name: str) -> None:
    graphs = training(plan, name, CudaGraphs(torch.device("cuda")), device="cuda")
    graphs.run()
    usual = training(plan, name, Python(), device="cuda")
    usual.run()
    assert CudaGraphs.works
    assert graphs.timer.seconds["replay"] > 0
    expected = weights(usual)
    for key, value in weights(graphs).items():
        torch.testing.assert_close(value, expected[key], rtol=0.02, atol=0.02)
