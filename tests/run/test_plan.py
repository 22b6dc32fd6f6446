"""What a run is going to do survives JSON, and its rungs keep their promises."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import families
from smidgen.compress import Cutting
from smidgen.data import sets
from smidgen.run import Job
from smidgen.run.plan import Plan, Rung, Start, Trial, full_trainings, rungs_for
from smidgen.spec import SmidgenError
from smidgen.train.augment import Augment
from smidgen.train.recipe import RECIPES, Recipe

CANDIDATES, FINALISTS = st.integers(1, 80), st.integers(1, 20)
SHARES = st.floats(0.001, 1.0)

recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 400),
    batch_size=st.integers(2, 512),
    learning_rate=st.floats(1e-6, 1.0),
    milestones=st.lists(st.integers(0, 400), max_size=3).map(tuple),
    distillation=st.floats(0, 0.99),
    class_weights=st.booleans(),
    augment=st.builds(Augment, rotation=st.floats(0, 45), flip=st.booleans()),
) | st.sampled_from(RECIPES)
networks = st.builds(
    families.network,
    st.sampled_from(["resnet20", "squeezenet1_1", "shiftresnet20_e1", "efficientnet_lite0"]),
    num_classes=st.integers(2, 9),
    c_in=st.sampled_from([1, 3]),
    resolution=st.sampled_from([16, 32]),
)
cuttings = st.builds(Cutting, st.integers(0, 9), st.integers(1, 9), st.floats(0, 0.75), st.booleans())
starts = st.builds(Start, st.text(), st.just("imagenet"), st.none() | cuttings)
trials = st.builds(
    Trial,
    networks,
    recipes,
    start=st.none() | starts,
    teacher=st.none() | st.just("efficientnet_lite0"),
)
paths = st.none() | st.from_regex(r"[a-z]{1,5}(/[a-z é]{1,5})?", fullmatch=True).map(Path)
seconds = st.floats(0.001, 1e6)
jobs = st.builds(
    Job,
    st.text(),
    resolution=st.none() | st.integers(),
    seed=st.integers(0, 2**63 - 1),
    epochs=st.none() | st.integers(1, 500),
    skip_bad=st.booleans(),
    group_by=st.none() | st.text(),
    time_limit=st.none() | seconds,
    out=paths,
    base=paths,
    threads=st.none() | st.integers(1, 64),
    workers=st.none() | st.integers(1, 64),
    every=seconds,
    train_on=st.sampled_from([None, "cpu", "cuda"]),
    device=paths,
    from_scratch=st.booleans(),
    class_weights=st.booleans(),
    command=st.text(),
)


@settings(max_examples=25)
@given(trials)
def test_a_trial_survives_json(trial: Trial) -> None:
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


@settings(max_examples=15)
@given(st.lists(trials, min_size=1, max_size=3), FINALISTS, st.none() | trials)
def test_a_plan_survives_json(several: list[Trial], finalists: int, teacher: Trial | None) -> None:
    plan = Plan(tuple(several), rungs_for(len(several), finalists), teacher)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(jobs)
def test_a_job_survives_json(job: Job) -> None:
    there = job.data not in sets.names() and Path(job.data).exists()
    data = os.path.abspath(job.data) if there else job.data  # noqa: PTH100
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == dataclasses.replace(job, data=data)


def test_a_job_of_a_later_version_is_read_without_what_it_adds() -> None:
    assert Job.from_json(Job("digits").to_json() | {"mood": "good"}) == Job("digits")


@pytest.mark.parametrize(
    "numbers", [{"time_limit": 0}, {"time_limit": math.nan}, {"every": 0}, {"every": -1}]
)
def test_a_job_without_time_is_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(SmidgenError, match="above 0"):
        Job("digits", **numbers)  # type: ignore[arg-type]


@given(CANDIDATES, FINALISTS)
def test_rungs_narrow_down_to_one_at_the_end(candidates: int, finalists: int) -> None:
    rungs = rungs_for(candidates, finalists)
    *early, last = rungs
    assert last == Rung(1.0, 1)
    shares = [rung.share for rung in rungs]
    assert shares == sorted(set(shares))
    assert shares[0] > 0
    left = [candidates, *(rung.kept for rung in early)]
    assert all(after < before for before, after in itertools.pairwise(left))
    assert all(kept >= finalists for kept in left[1:])
    assert left[-1] <= max(finalists, math.ceil(candidates / 3))


@given(CANDIDATES, FINALISTS, st.integers(1, 16))
def test_the_contest_is_as_long_as_its_trainings_and_no_longer_than_all(
    candidates: int, finalists: int, workers: int
) -> None:
    rungs = rungs_for(candidates, finalists)
    length = full_trainings(candidates, rungs, workers)
    assert 1 - 1e-9 <= length <= math.ceil(candidates / workers) + 1e-9
    assert full_trainings(candidates, rungs, workers + 1) <= length
    # The work, spread evenly over the workers, is a bound that no order of the trainings can beat.
    left = [candidates, *(rung.kept for rung in rungs)]
    work = sum(left[at] * (rung.share - before) for at, (rung, before) in enumerate(steps(rungs)))
    assert length >= work / workers - 1e-9


def steps(rungs: tuple[Rung, ...]) -> list[tuple[Rung, float]]:
    """Each rung with the share of the one before."""
    return list(zip(rungs, [0.0, *(rung.share for rung in rungs[:-1])], strict=True))


def test_ten_candidates_on_one_worker_by_hand() -> None:
    rungs = (Rung(0.1, 4), Rung(0.5, 2), Rung(1.0, 1))
    assert full_trainings(10, rungs, 1) == pytest.approx(10 * 0.1 + 4 * 0.4 + 2 * 0.5)
    assert full_trainings(10, rungs, 3) == pytest.approx(4 * 0.1 + 2 * 0.4 + 1 * 0.5)


@settings(max_examples=25)
@given(trials, SHARES, SHARES)
def test_epochs_at_a_share_are_whole_grow_with_it_and_end_at_all(trial: Trial, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 1 <= trial.epochs_at(low) <= trial.epochs_at(high) <= trial.recipe.epochs
    assert trial.epochs_at(1.0) == trial.recipe.epochs


def test_a_share_is_rounded_to_the_nearest_epoch() -> None:
    recipe = dataclasses.replace(RECIPES[0].shortened(10))
    trial = Trial(families.network("resnet20", num_classes=2, resolution=16), recipe)
    assert [trial.epochs_at(share) for share in (0.01, 0.12, 0.28, 0.96)] == [1, 1, 3, 10]
