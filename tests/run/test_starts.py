"""Who starts from published weights, and who teaches; no weights are read for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from heard import Heard
from smidgen import families, weights
from smidgen.graph import Aspect
from smidgen.run.plan import Start, Trial
from smidgen.run.starts import DISTILLATION, FEWEST_PIXELS, published_trials, taught, teacher_trial
from smidgen.scaling import costs
from smidgen.spec import Budget
from smidgen.train.distil import VIEWS
from smidgen.train.material import Material, prepare
from smidgen.train.recipe import recipe
from smidgen.watch import Watch
from tiny_set import shapes

ROOMY = Budget(params=30_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=8, side=32)


@pytest.fixture(scope="module")
def material(folder: Path) -> Material:
    return prepare(str(folder), watch=Watch())


@pytest.fixture(params=[True, False], ids=["present", "absent"])
def present(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether all published weights are said to be on this machine, or none."""
    here: bool = request.param
    monkeypatch.setattr("smidgen.weights.present", lambda _row: here)
    return here


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.weights.present", lambda _row: True)


def test_without_weights_on_the_machine_nobody_starts_from_them_or_teaches(
    material: Material, present: bool
) -> None:
    heard = Heard()
    assert bool(published_trials(material, ROOMY)) is present
    assert (teacher_trial(material, heard) is not None) is present
    assert heard.lines == []


@pytest.mark.usefixtures("everywhere")
def test_a_start_obeys_the_budget_and_has_the_datas_classes(material: Material) -> None:
    published = {row.network for row in weights.rows() if row.key == "imagenet"}
    trials = published_trials(material, ROOMY)
    assert trials
    for trial in trials:
        assert trial.network.name in published
        assert (trial.start, trial.teacher) == (Start(trial.network.name, "imagenet"), None)
        assert trial.network.classes == material.dataset.classes
        assert trial.network.num_classes == 3
        assert not ROOMY.excesses(costs(trial.network))
    middle = sorted(trial.network.cost().params for trial in trials)[len(trials) // 2]
    tight = Budget(params=middle)
    fitting = {trial.network.name for trial in trials if trial.network.cost().params <= middle}
    assert {trial.network.name for trial in published_trials(material, tight)} == fitting
    assert published_trials(material, Budget(params=1000)) == []


@pytest.mark.usefixtures("everywhere")
def test_a_resolution_that_was_asked_for_is_theirs_too(material: Material) -> None:
    assert {trial.network.input[1:3] for trial in published_trials(material, ROOMY)} == {(96, 96)}
    asked = published_trials(material, ROOMY, resolution=32)
    assert {trial.network.input[1:3] for trial in asked} == {(32, 32)}


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("aspect", ["crop", "squash", "pad"])
def test_published_networks_see_pictures_in_the_datas_way(folder: Path, aspect: Aspect) -> None:
    trials = published_trials(prepare(str(folder), aspect=aspect, watch=Watch()), ROOMY)
    assert {trial.network.preprocess.aspect for trial in trials} == {aspect}


@pytest.mark.usefixtures("everywhere")
def test_only_chosen_families_start(material: Material) -> None:
    chosen = {trial.network.family for trial in published_trials(material, ROOMY, ("squeezenet",))}
    assert chosen <= {"squeezenet"}
    assert published_trials(material, ROOMY, ("shiftnet",)) == []


@pytest.mark.usefixtures("everywhere")
def test_the_cheapest_teaches(material: Material) -> None:
    teacher = teacher_trial(material, Watch())
    assert teacher is not None
    side = teacher.network.input.height
    assert side >= material.resolution
    rivals = [
        families.network(row.network, num_classes=3, c_in=3, resolution=side, dropped_strides=0).cost().macs
        for row in weights.rows()
        if row.key == "imagenet"
    ]
    assert teacher.network.cost().macs == min(rivals)
    assert teacher.start == Start(teacher.network.name, "imagenet")


@pytest.mark.usefixtures("everywhere")
def test_nobody_teaches_what_is_too_small_to_see(folder: Path) -> None:
    for side in (FEWEST_PIXELS - 1, FEWEST_PIXELS):
        material = prepare(str(folder), resolution=side, watch=Watch())
        assert (teacher_trial(material, Watch()) is not None) is (side == FEWEST_PIXELS)


@pytest.mark.usefixtures("everywhere")
def test_lessons_that_take_too_long_are_left_out_and_it_is_said(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.run.starts.AFFORDABLE_MACS", 1e6)
    heard = Heard()
    assert teacher_trial(material, heard) is None
    assert published_trials(material, ROOMY) == []
    (line,) = heard.lines
    assert line.startswith("no teacher: ")


@pytest.mark.usefixtures("everywhere")
def test_pupils_at_two_sizes_take_lessons_twice(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = teacher_trial(material, Watch())
    assert teacher is not None
    a_view = len(material.split.train) * teacher.network.cost().macs
    tuning = 3 * teacher.recipe.epochs * a_view  # there, and twice as much back
    monkeypatch.setattr("smidgen.run.starts.AFFORDABLE_MACS", tuning + 1.5 * VIEWS * a_view)
    assert teacher_trial(material, Watch()) == teacher
    assert teacher_trial(material, Watch(), sizes=2) is None


def test_a_pupil_keeps_its_network_and_length() -> None:
    network = families.network("resnet20", num_classes=3, resolution=32)
    teacher = Trial(
        families.network("squeezenet1_1", num_classes=3),
        recipe("tuning"),
        start=Start("squeezenet1_1", "imagenet"),
    )
    trial = Trial(network, recipe("small").shortened(7))
    pupil = taught(trial, teacher)
    assert (pupil.network, pupil.start, pupil.teacher) == (network, None, "squeezenet1_1")
    assert (pupil.recipe.epochs, pupil.recipe.distillation) == (7, DISTILLATION)
    assert trial.recipe.distillation == 0
