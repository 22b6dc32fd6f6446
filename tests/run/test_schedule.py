"""How long everything trains, with speeds that are known."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heard import Heard
from smidgen import families
from smidgen.cli.running import Duration
from smidgen.graph import Network
from smidgen.modules import NetworkModule, create
from smidgen.run import schedule
from smidgen.run.plan import Destination, Plan, Trial, full_trainings, rungs_for
from smidgen.run.runner import Runner
from smidgen.run.schedule import (
    DEFAULT,
    FEWEST_EPOCHS,
    FEWEST_IN_TIME,
    MOST_EPOCHS,
    Deadline,
    default_epochs,
    within,
)
from smidgen.spec import Shape, SmidgenError
from smidgen.train import TrainingData
from smidgen.train.distil import VIEWS
from smidgen.train.errors import TrainingError
from smidgen.train.material import Material, prepare
from smidgen.train.parallel import ALONE, World
from smidgen.train.recipe import recipe
from smidgen.train.stopwatch import Stopwatch
from smidgen.watch import Watch
from tiny_set import shapes

NETWORK = families.network("resnet20", num_classes=3, c_in=3, resolution=16)
# What a limit must hold beside the training, generously.
RESERVE = 20.0


def fitted_in(
    limit: float, plan: Plan, runner: Runner, workers: int, watch: Watch, most: int | None = None
) -> Plan:
    """`within`, of a job that has just begun."""
    return within(Deadline(limit, Stopwatch()), plan, runner, workers, watch, most)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return prepare(str(shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=8)), watch=Watch())


class Speed:
    """A training of which only the speed is known."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def epoch_seconds(self, _patience: float) -> float:
        return self.seconds


class Fake(Runner):
    """Trials whose epochs take as long as the numbers in their networks' names say."""

    def __init__(self, material: Material) -> None:
        self.material = material

    def training(
        self,
        trial: Trial,
        processes: World = ALONE,
        *,
        fresh: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Any:
        del processes, fresh, stopping
        if trial.network.name == "nan":
            raise TrainingError("the loss is nan")
        return Speed(float(trial.network.name))

    def threads_for(self, trial: Trial) -> contextlib.AbstractContextManager[None]:
        del trial
        return contextlib.nullcontext()

    def initial(self, trial: Trial, data: TrainingData, device: torch.device) -> NetworkModule:
        del data, device
        return create(trial.network)


def named(seconds: float) -> Network:
    return dataclasses.replace(NETWORK, name=str(seconds))


def timed(speeds: list[float], teacher: float | None = None) -> Plan:
    default = dataclasses.replace(recipe("small"), name=DEFAULT)
    taught_by = str(teacher) if teacher else None
    trials = tuple(Trial(named(seconds), default, teacher=taught_by) for seconds in speeds)
    lesson = Trial(named(teacher), recipe("tuning").shortened(10)) if teacher else None
    return Plan(trials, rungs_for(len(trials), 1), lesson)


def seconds_of(plan: Plan, workers: int) -> float:
    """Of the contest, when at every rung the slowest ones go on: as long as it can take."""
    spent = sorted((float(one.network.name) * one.recipe.epochs for one in plan.trials), reverse=True)
    total, before, left = 0.0, 0.0, len(spent)
    for rung in plan.rungs:
        total += sum(spent[:left:workers]) * (rung.share - before)
        before, left = rung.share, rung.kept
    return total


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12), st.integers(1, 4), st.floats(RESERVE + 20, 3600)
)
def test_the_epochs_fit_into_the_time(
    material: Material, speeds: list[float], workers: int, limit: float
) -> None:
    plan = fitted_in(limit, timed(speeds), Fake(material), workers, Watch())
    assert plan.rungs == rungs_for(len(plan.trials), workers)
    assert seconds_of(plan, workers) <= limit
    stayed = [float(trial.network.name) for trial in plan.trials]
    assert sorted(stayed) == sorted(speeds)[: len(stayed)]  # only slower ones left
    for trial in plan.trials:
        assert 1 <= trial.recipe.epochs <= MOST_EPOCHS
        # Nearly all of the time is used, where it is not more than anybody needs.
        each = (limit - RESERVE - 0.04 * limit) / full_trainings(len(stayed), plan.rungs, workers)
        assert trial.recipe.epochs >= min(MOST_EPOCHS, math.floor(each / float(trial.network.name)))


def test_a_slow_one_gets_fewer_epochs_and_warms_up_as_long_in_proportion(material: Material) -> None:
    plan = fitted_in(600.0, timed([2.0, 4.0]), Fake(material), 1, Watch())
    fast, slow = (trial.recipe for trial in plan.trials)
    assert fast.epochs == pytest.approx(2 * slow.epochs, abs=2)
    for one in (fast, slow):
        assert one.warmup_epochs / one.epochs == pytest.approx(recipe("small").warmup_epochs / 60)


def test_one_that_is_too_slow_is_left_out_and_named(material: Material) -> None:
    heard = Heard()
    plan = fitted_in(120.0, timed([1.0, 90.0, 0.5]), Fake(material), 1, heard)
    assert [trial.network.name for trial in plan.trials] == ["1.0", "0.5"]
    (line,) = heard.lines
    assert line == "left out, for their share of the time holds no 4 epochs of them: 90.0 (90 s)"
    assert min(trial.recipe.epochs for trial in plan.trials) >= FEWEST_IN_TIME


def test_the_last_one_stays_while_an_epoch_fits(material: Material) -> None:
    plan = fitted_in(120.0, timed([60.0]), Fake(material), 1, Watch())
    assert [trial.recipe.epochs for trial in plan.trials] == [1]


def named_time(refusal: SmidgenError) -> float:
    """Seconds that the refusal says would do."""
    found = re.search(r"; --time (\S+) would do$", str(refusal))
    assert found, str(refusal)
    return Duration().convert(found[1], None, None)


@pytest.mark.parametrize("limit", [0.001, 5.0, 60.0])
def test_too_short_a_time_is_one_line_with_one_that_does(material: Material, limit: float) -> None:
    asked = timed([100.0, 200.0])
    with pytest.raises(SmidgenError, match="too short") as caught:
        fitted_in(limit, asked, Fake(material), 1, Watch())
    assert "\n" not in str(caught.value)
    enough = named_time(caught.value)
    assert len(fitted_in(enough, asked, Fake(material), 1, Watch()).trials) >= 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 500), st.floats(0.01, 3000), st.integers(1, 4), st.floats(1, 600))
def test_the_time_that_is_named_does(
    material: Material, fastest: float, spent: float, workers: int, limit: float
) -> None:
    """However much of it was gone before, and whatever the fastest network takes."""

    def tried(seconds: float) -> Plan:
        asked = timed([fastest, 3 * fastest])
        return within(Deadline(seconds, Stopwatch(spent)), asked, Fake(material), workers, Watch())

    refusal = None
    try:
        tried(limit)
    except SmidgenError as error:
        refusal = error
    assert refusal is None or tried(named_time(refusal)).trials


def test_the_teacher_goes_before_any_candidate(material: Material) -> None:
    asked, heard = timed([2.0, 3.0], teacher=20.0), Heard()  # lessons take 253 s
    plan = fitted_in(150.0, asked, Fake(material), 1, heard)
    assert plan.teacher is None
    assert [trial.network.name for trial in plan.trials] == ["2.0", "3.0"]
    assert all(trial.teacher is None and trial.recipe.distillation == 0 for trial in plan.trials)
    (line,) = heard.lines
    assert line.startswith(
        "no teacher: tuning 20.0 and its lessons would take 4 min or more, and --time leaves "
    )
    alone = fitted_in(150.0, timed([2.0, 3.0]), Fake(material), 1, Watch())
    assert [one.recipe for one in plan.trials] == [one.recipe for one in alone.trials]


def test_a_teacher_stays_where_it_takes_less_than_half_of_the_time(material: Material) -> None:
    alone = fitted_in(900.0, timed([4.0]), Fake(material), 1, Watch())
    beside = fitted_in(900.0, timed([4.0], teacher=20.0), Fake(material), 1, Watch())
    assert alone.trials[0].recipe.epochs - beside.trials[0].recipe.epochs == pytest.approx(
        (10 + VIEWS / 3) * 20 / 4, abs=1
    )
    assert beside.teacher is not None
    assert fitted_in(500.0, timed([4.0], teacher=20.0), Fake(material), 1, Watch()).teacher is None


class Noisy(Fake):
    """The first look at each network is disturbed: it takes three times as long."""

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self.looks: Counter[str] = Counter()

    def epoch_seconds(
        self, trial: Trial, patience: float, stopping: Callable[[], bool] = lambda: False
    ) -> float:
        self.looks[trial.network.name] += 1
        factor = 3 if self.looks[trial.network.name] == 1 else 1
        return factor * super().epoch_seconds(trial, patience, stopping)


def test_one_noisy_look_throws_nobody_out(material: Material) -> None:
    """Where a first look would decide, a second one does."""
    quiet = fitted_in(120.0, timed([1.0, 9.0]), Fake(material), 1, Watch())
    runner, heard = Noisy(material), Heard()
    plan = fitted_in(120.0, timed([1.0, 9.0]), runner, 1, heard)
    assert [one.network.name for one in plan.trials] == [one.network.name for one in quiet.trials]
    assert heard.lines == []
    assert plan.trials[1].recipe.epochs == quiet.trials[1].recipe.epochs
    teacher = fitted_in(900.0, timed([1.0], teacher=20.0), Noisy(material), 1, Watch()).teacher
    assert teacher is not None
    assert teacher.epoch_seconds == 20.0


def test_speeds_are_measured_in_a_small_share_of_the_time(material: Material) -> None:
    class Looking(Fake):
        patience = 0.0

        def epoch_seconds(
            self, trial: Trial, patience: float, stopping: Callable[[], bool] = lambda: False
        ) -> float:
            self.patience += patience
            return super().epoch_seconds(trial, patience, stopping)

    for limit, workers in ((15.0, 1), (240.0, 1), (240.0, 2), (3600.0, 4)):
        runner = Looking(material)
        fitted_in(limit, timed([0.01] * 12), runner, workers, Watch())
        assert runner.patience / workers <= 0.0501 * limit


def test_measuring_ends_where_single_steps_take_longer_than_it_may(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of the time at most, whatever a step takes: the cheapest are measured, the others left out."""
    monkeypatch.setattr(schedule, "RESERVE_LEAST", 0.0)

    class Slow(Fake):
        looks = 0

        def epoch_seconds(
            self, trial: Trial, patience: float, stopping: Callable[[], bool] = lambda: False
        ) -> float:
            assert patience < 0.05
            self.looks += 1
            time.sleep(0.05)
            return super().epoch_seconds(trial, patience, stopping)

    runner, heard = Slow(material), Heard()
    plan = fitted_in(1.0, timed([0.001] * 12), runner, 1, heard)
    assert 1 <= runner.looks <= 5  # 0.2 s, and the one that was begun before
    assert 1 <= len(plan.trials) <= 5
    assert heard.lines[0].startswith("left out, for the time is too short for so many multiply-adds: 0.001")


def test_what_is_far_too_large_for_the_time_is_not_measured(material: Material) -> None:
    """Eight times the pace of the fastest would not do."""
    small, large = timed([1.0, 1.0]).trials
    larger = families.network("resnet110", num_classes=3, c_in=3, resolution=256)
    large = dataclasses.replace(large, network=dataclasses.replace(larger, name="1000.0"))
    asked, heard = Plan((large, small), rungs_for(2, 1)), Heard()

    class Counting(Fake):
        names: tuple[str, ...] = ()

        def epoch_seconds(
            self, trial: Trial, patience: float, stopping: Callable[[], bool] = lambda: False
        ) -> float:
            self.names += (trial.network.name,)
            return super().epoch_seconds(trial, patience, stopping)

    runner = Counting(material)
    assert [trial.network.name for trial in fitted_in(120.0, asked, runner, 1, heard).trials] == ["1.0"]
    assert runner.names == ("1.0",)
    assert heard.lines == ["left out, for the time is too short for so many multiply-adds: 1000.0"]


def test_a_teacher_that_cannot_be_trained_leaves_its_pupils_alone(material: Material) -> None:
    heard = Heard()
    plan = fitted_in(120.0, timed([1.0], teacher=math.nan), Fake(material), 1, heard)
    assert plan.teacher is None
    assert plan.trials[0].teacher is None
    assert heard.lines == ["no teacher: nan: the loss is nan"]


def test_lessons_are_taken_at_every_size(material: Material) -> None:
    plan = timed([4.0, 4.0], teacher=10.0)
    smaller = dataclasses.replace(plan.trials[1].network, input=Shape(3, 8, 8))
    sizes = dataclasses.replace(
        plan, trials=(plan.trials[0], dataclasses.replace(plan.trials[1], network=smaller))
    )
    one, two = (fitted_in(1800.0, which, Fake(material), 1, Watch()) for which in (plan, sizes))
    spent = full_trainings(2, one.rungs, 1) * 4
    assert one.trials[0].recipe.epochs - two.trials[0].recipe.epochs == pytest.approx(
        VIEWS / 3 * 10 / spent, abs=1
    )


def test_one_that_cannot_be_trained_at_all_is_left_out_and_named(material: Material) -> None:
    heard = Heard()
    plan = fitted_in(120.0, timed([1.0, math.nan, 0.5]), Fake(material), 2, heard)
    assert [trial.network.name for trial in plan.trials] == ["1.0", "0.5"]
    assert heard.lines == ["nan is left out: the loss is nan"]
    with pytest.raises(TrainingError, match="no candidate can be trained: nan is left out: the loss is nan"):
        fitted_in(120.0, timed([math.nan]), Fake(material), 1, Watch())


@given(st.integers(1, 10**7), st.integers(2, 512))
def test_default_epochs_are_bounded_and_fewer_for_more_pictures(pictures: int, batch_size: int) -> None:
    epochs = default_epochs(pictures, batch_size)
    assert FEWEST_EPOCHS <= epochs <= MOST_EPOCHS
    assert default_epochs(2 * pictures, batch_size) <= epochs
    steps = epochs * math.ceil(pictures / batch_size)
    if FEWEST_EPOCHS < epochs < MOST_EPOCHS:
        assert steps == pytest.approx(schedule.STEPS, rel=0.06)


@given(st.integers(1, 10**8), st.integers(2, 10**6), st.integers(1, 400))
def test_augmentation_is_between_none_and_all_and_grows_with_the_network(
    params: int, pictures: int, epochs: int
) -> None:
    strength = schedule.augmentation_strength(params, pictures, epochs)
    assert 0 <= strength <= schedule.augmentation_strength(2 * params, pictures, epochs) <= 1
    assert schedule.augmentation_strength(params, 2 * pictures, epochs) <= strength


def test_the_data_decide_the_default_recipe(material: Material) -> None:
    chosen = schedule.default_recipe(material, NETWORK)
    assert chosen.epochs == default_epochs(len(material.split.train), chosen.batch_size)
    assert schedule.default_recipe(material, NETWORK, 7).epochs == 7


def test_no_more_epochs_than_asked_for_or_than_a_named_recipe_has(material: Material) -> None:
    plan = timed([0.01])
    assert fitted_in(600.0, plan, Fake(material), 1, Watch()).trials[0].recipe.epochs == MOST_EPOCHS
    assert fitted_in(600.0, plan, Fake(material), 1, Watch(), most=7).trials[0].recipe.epochs == 7
    named_recipe = Plan((dataclasses.replace(plan.trials[0], recipe=recipe("tuning")),), plan.rungs)
    left = fitted_in(600.0, named_recipe, Fake(material), 1, Watch()).trials[0].recipe
    assert left == recipe("tuning")


def test_what_has_nothing_to_do_with_time_stays(material: Material) -> None:
    target = Destination("Cortex-A72, neon, 4 threads", here=False, error=0.08, threads=4)
    asked = dataclasses.replace(timed([1.0, 2.0]), device=target)
    first = dataclasses.replace(asked.trials[0], predicted_ms=0.7)
    asked = dataclasses.replace(asked, trials=(first, asked.trials[1]))
    plan = fitted_in(120.0, asked, Fake(material), 1, Watch())
    assert plan.device == target
    assert [trial.predicted_ms for trial in plan.trials] == [0.7, None]
