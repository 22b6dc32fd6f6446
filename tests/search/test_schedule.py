"""How long everything trains, with speeds that are known."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import families
from smidgen.graph import Network
from smidgen.modules import NetworkModule, create
from smidgen.search import schedule
from smidgen.search.plan import Plan, Target, Trial, full_trainings, rungs_for
from smidgen.search.runner import Runner
from smidgen.search.schedule import (
    DEFAULT,
    FEWEST_EPOCHS,
    FEWEST_IN_TIME,
    MOST_EPOCHS,
    default_epochs,
    within,
)
from smidgen.spec import Shape, SmidgenError
from smidgen.train.distil import VIEWS
from smidgen.train.errors import TrainingError
from smidgen.train.material import Material, prepare
from smidgen.train.parallel import ALONE, World
from smidgen.train.recipe import recipe
from smidgen.watch import Watch
from tiny_set import shapes

NETWORK = families.network("resnet20", num_classes=3, c_in=3, resolution=16)
# What a limit must hold beside the training, generously.
RESERVE = 20.0


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

    def training(self, trial: Trial, processes: World = ALONE, *, fresh: bool = True) -> Any:
        del processes, fresh
        if trial.network.name == "nan":
            raise TrainingError("the loss is nan")
        return Speed(float(trial.network.name))

    def threads_for(self, trial: Trial) -> contextlib.AbstractContextManager[None]:
        del trial
        return contextlib.nullcontext()

    def initial(self, trial: Trial, fresh: bool = True) -> NetworkModule:
        del fresh
        return create(trial.network)


class Heard(Watch):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


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
    plan = within(limit, timed(speeds), Fake(material), workers, Watch())
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
    plan = within(600.0, timed([2.0, 4.0]), Fake(material), 1, Watch())
    fast, slow = (trial.recipe for trial in plan.trials)
    assert fast.epochs == pytest.approx(2 * slow.epochs, abs=2)
    for one in (fast, slow):
        assert one.warmup_epochs / one.epochs == pytest.approx(recipe("small").warmup_epochs / 60)


def test_one_that_is_too_slow_is_left_out_and_named(material: Material) -> None:
    heard = Heard()
    plan = within(120.0, timed([1.0, 90.0, 0.5]), Fake(material), 1, heard)
    assert [trial.network.name for trial in plan.trials] == ["1.0", "0.5"]
    (line,) = heard.lines
    assert line.startswith("90.0 is left out: an epoch takes 90 s, its share of --time is ")
    assert min(trial.recipe.epochs for trial in plan.trials) >= FEWEST_IN_TIME


def test_the_last_one_stays_while_an_epoch_fits(material: Material) -> None:
    plan = within(120.0, timed([60.0]), Fake(material), 1, Watch())
    assert [trial.recipe.epochs for trial in plan.trials] == [1]


@pytest.mark.parametrize("limit", [0.001, 5.0, 60.0])
def test_too_short_a_time_is_one_line(material: Material, limit: float) -> None:
    with pytest.raises(SmidgenError, match="the time is too short") as caught:
        within(limit, timed([100.0, 200.0]), Fake(material), 1, Watch())
    assert "\n" not in str(caught.value)
    assert "give more --time" in str(caught.value)


def test_the_teacher_takes_its_time_first(material: Material) -> None:
    alone = within(900.0, timed([4.0]), Fake(material), 1, Watch())
    runner = Fake(material)
    beside = within(900.0, timed([4.0], teacher=20.0), runner, 1, Watch())
    assert alone.trials[0].recipe.epochs - beside.trials[0].recipe.epochs == pytest.approx(
        (10 + VIEWS / 3) * 20 / 4, abs=1
    )
    assert beside.teacher == timed([4.0], teacher=20.0).teacher
    with pytest.raises(SmidgenError, match="after 253 s for the teacher"):
        within(150.0, timed([2.0], teacher=20.0), Fake(material), 1, Watch())


def test_lessons_are_taken_at_every_size(material: Material) -> None:
    plan = timed([4.0, 4.0], teacher=20.0)
    smaller = dataclasses.replace(plan.trials[1].network, input=Shape(3, 8, 8))
    sizes = dataclasses.replace(
        plan, trials=(plan.trials[0], dataclasses.replace(plan.trials[1], network=smaller))
    )
    one, two = (within(1800.0, which, Fake(material), 1, Watch()) for which in (plan, sizes))
    spent = full_trainings(2, one.rungs, 1) * 4
    assert one.trials[0].recipe.epochs - two.trials[0].recipe.epochs == pytest.approx(
        VIEWS / 3 * 20 / spent, abs=1
    )


def test_one_that_cannot_be_trained_at_all_is_left_out_and_named(material: Material) -> None:
    heard = Heard()
    plan = within(120.0, timed([1.0, math.nan, 0.5]), Fake(material), 2, heard)
    assert [trial.network.name for trial in plan.trials] == ["1.0", "0.5"]
    assert heard.lines == ["nan is left out: the loss is nan"]
    with pytest.raises(TrainingError, match="no candidate can be trained: nan is left out: the loss is nan"):
        within(120.0, timed([math.nan]), Fake(material), 1, Watch())


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
    assert within(600.0, plan, Fake(material), 1, Watch()).trials[0].recipe.epochs == MOST_EPOCHS
    assert within(600.0, plan, Fake(material), 1, Watch(), most=7).trials[0].recipe.epochs == 7
    named_recipe = Plan((dataclasses.replace(plan.trials[0], recipe=recipe("tuning")),), plan.rungs)
    left = within(600.0, named_recipe, Fake(material), 1, Watch()).trials[0].recipe
    assert left == recipe("tuning")


def test_what_has_nothing_to_do_with_time_stays(material: Material) -> None:
    target = Target("Cortex-A72, neon, 4 threads", here=False, error=0.08, threads=4)
    asked = dataclasses.replace(timed([1.0, 2.0]), device=target)
    first = dataclasses.replace(asked.trials[0], latency_ms=0.7)
    asked = dataclasses.replace(asked, trials=(first, asked.trials[1]))
    plan = within(120.0, asked, Fake(material), 1, Watch())
    assert plan.device == target
    assert [trial.latency_ms for trial in plan.trials] == [0.7, None]
