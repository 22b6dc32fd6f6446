"""What fits into memory, with a limit that is set by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from heard import Heard
from smidgen import families
from smidgen.graph import Network
from smidgen.run import afford
from smidgen.run.afford import affordable, room_for, sparing
from smidgen.run.plan import Plan, Trial, rungs_for
from smidgen.spec import Budget, SmidgenError
from smidgen.train.footprint import training_bytes
from smidgen.train.material import Material, prepare
from smidgen.train.recipe import recipe
from smidgen.watch import Watch
from tiny_set import shapes

HELD = 500 * 10**6
NORMED = families.network("resnet20", num_classes=3, resolution=64)
PLAIN = families.network("squeezenet1_1", num_classes=3, resolution=64)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return prepare(str(shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=40)), watch=Watch())


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afford, "held_memory", lambda: HELD)


def limit(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """So many bytes beside what the process holds, and some pictures."""
    monkeypatch.setenv("SMIDGEN_MEMORY", str(HELD + free + 10**7))


def plan_of(*trials: Trial, teacher: Trial | None = None) -> Plan:
    return Plan(trials, rungs_for(len(trials), 2), teacher)


def trial(network: Network, name: str = "small") -> Trial:
    return Trial(network, recipe(name))


def needed(one: Trial) -> int:
    return training_bytes(one.network, one.recipe)


def test_where_there_is_room_nothing_changes(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, heard = plan_of(trial(NORMED), trial(NORMED)), Heard()
    limit(monkeypatch, 2 * needed(trial(NORMED)))
    assert affordable(plan, material, 2, heard) == (plan, 2)
    assert heard.lines == []


def test_fewer_train_at_the_same_time_before_anything_else(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, heard = plan_of(trial(NORMED), trial(NORMED)), Heard()
    limit(monkeypatch, round(1.5 * needed(trial(NORMED))))
    found, workers = affordable(plan, material, 2, heard)
    assert (found.trials, workers) == (plan.trials, 1)
    assert found.rungs == rungs_for(2, 1)
    assert heard.lines == ["1 at a time instead of 2: more would not fit into memory"]


def test_batches_are_cut_where_that_changes_nothing_and_smaller_where_batchnorm_looks_at_all(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    smaller = dataclasses.replace(recipe("small"), batch_size=20)
    limit(monkeypatch, training_bytes(PLAIN, smaller))
    found, _ = affordable(plan_of(trial(PLAIN), trial(NORMED)), material, 1, heard)
    plain, normed = (one.recipe for one in found.trials)
    assert plain.batch_size == recipe("small").batch_size
    assert plain.parts > 1
    assert normed.parts == 1
    assert normed.batch_size in (8, 16, 32)
    assert all(needed(one) <= training_bytes(PLAIN, smaller) for one in found.trials)
    first, second = heard.lines
    assert first == f"squeezenet1_1 works on each batch in {plain.parts} parts, with the same result: memory"
    assert second == f"resnet20 learns from batches of {normed.batch_size} instead of 64: memory"


def test_what_fits_in_no_batch_is_left_out_and_named(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = trial(families.network("efficientnet_b7", num_classes=3, resolution=64))
    heard = Heard()
    limit(monkeypatch, needed(trial(NORMED)))
    found, _ = affordable(plan_of(large, trial(NORMED)), material, 1, heard)
    assert [one.network.name for one in found.trials] == ["resnet20"]
    (line,) = heard.lines
    assert line.startswith("efficientnet_b7 is left out: it takes at least ")
    assert "GB of memory to train, of " in line


def test_a_teacher_that_does_not_fit_leaves_its_pupils_alone(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = trial(families.network("efficientnet_b7", num_classes=3, resolution=64))
    pupil = dataclasses.replace(
        trial(NORMED),
        teacher="efficientnet_b7",
        recipe=dataclasses.replace(recipe("small"), distillation=0.7),
    )
    heard = Heard()
    limit(monkeypatch, needed(trial(NORMED)))
    found, _ = affordable(plan_of(pupil, teacher=large), material, 1, heard)
    assert found.teacher is None
    assert found.trials == (trial(NORMED),)
    assert heard.lines[0].startswith("no teacher: efficientnet_b7 takes at least ")


def test_where_nothing_fits_one_line_says_what_to_do(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 10**6)
    with pytest.raises(
        SmidgenError, match=r"a smaller budget or --resolution, or raise SMIDGEN_MEMORY"
    ) as caught:
        affordable(plan_of(trial(NORMED)), material, 1, Watch())
    assert "\n" not in str(caught.value)


def test_a_budget_beyond_all_memory_gets_a_limit_that_memory_sets(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A billion parameters on a machine of four gigabytes: killed without a word, once."""
    large = families.network("efficientnet_b7", num_classes=3, resolution=64)
    limit(monkeypatch, 40 * large.cost().params // 2)
    spared = sparing(Budget(params=10**9, macs=10**9), [large], material)
    assert spared is not None
    assert spared.macs == 10**9
    assert spared.params is not None
    assert spared.params < large.cost().params
    assert sparing(Budget(params=10**9), [large, NORMED], material) is None


def test_pictures_that_are_still_to_be_decoded_count(
    material: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del tmp_path
    limit(monkeypatch, 10**9)
    teacher = trial(families.network("efficientnet_b0", num_classes=3, resolution=224))
    decoded = (len(material.split.train) + len(material.split.val)) * 3 * 224 * 224
    assert room_for(material, [teacher]) == room_for(material, []) - decoded
