"""A whole search on real digits: stopped, gone on with, and told."""

from __future__ import annotations

import contextlib
import csv
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import smidgen
from search.tiny_search import GRID, agenda, at_once, begun
from smidgen.search.agenda import Task
from smidgen.search.grid import Wanted, search, search_on
from smidgen.search.growth import grown, rule_of
from smidgen.search.outcome import conclude
from smidgen.search.study import Study
from smidgen.search.verdict import difference
from smidgen.search.worker import Trainer, material_of, work
from smidgen.spec import BudgetError, SmidgenError, StoppedError, UnknownNameError
from smidgen.watch import Watch


class Impatient(Watch):
    """Asks the work to stop as soon as it can be asked."""

    @contextlib.contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        stop()
        yield


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of two rules on the digits, stopped at its beginning and finished by two workers."""
    out = tmp_path_factory.mktemp("search") / "study"
    wanted = Wanted(
        "digits", "shiftnet", out, (120_000,), ("compound", "width"), grid=False, seeds=2, epochs=1
    )
    with pytest.raises(StoppedError, match=f"`smidgen search --resume {out}` goes on"):
        search(wanted, 1, Impatient())
    assert not Study(out).finished()
    search_on(out, 2, Watch())
    return out


def told(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "search.json").read_text("utf-8"))
    return document


def test_every_training_is_a_row_with_recipe_seed_and_cost(folder: Path) -> None:
    with (folder / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    study = Study(folder)
    tasks = {Task(row["rule"], int(row["budget"]), int(row["seed"]), int(row["epochs"])) for row in rows}
    assert tasks == set(study.agenda.due(study.scores()))
    for row in rows:
        cost = study.agenda.network(row["rule"], int(row["budget"]))[1].cost()
        assert (int(row["params"]), int(row["macs"])) == (cost.params, cost.macs)
        assert row["recipe"] == study.agenda.recipe.name
        assert float(row["seconds"]) > 0


def test_comparisons_are_those_of_the_stored_answers(folder: Path) -> None:
    study, document = Study(folder), told(folder)
    first, second = (study.right(study.agenda.tasks_of(rule, 120_000)) for rule in ("compound", "width"))
    assert first is not None
    assert second is not None
    (one,) = document["comparisons"]
    assert (one["mean"], one["low"], one["high"]) == difference(first, second)
    assert (one["seeds"], one["pictures"]) == (2, document["pictures"]["val"])
    means = {point["rule"]: point["accuracy"] for point in document["points"]}
    assert means["width"] == pytest.approx(second.mean())
    assert statistics.mean(row.accuracy or 0 for row in study.rows()) > 0.1


def test_a_trial_depends_on_its_task_alone(folder: Path) -> None:
    """What a worker process made of a task, this process makes of it too, after another one, in every bit."""
    study = Study(folder)
    trainer = Trainer(study.agenda, material_of(study.about, Watch()))
    tasks = study.agenda.tasks_of("width", 120_000)
    stored = study.right(tasks)
    assert stored is not None
    for place in (1, 0):
        right = trainer(tasks[place], never).right
        assert right is not None
        assert np.array_equal(right, stored[place])


def test_the_family_is_the_best_rules(folder: Path) -> None:
    study, document = Study(folder), told(folder)
    sums = {point["rule"]: point["accuracy"] for point in document["points"] if point["rule"] != "base"}
    assert document["best"] == max(sums, key=sums.__getitem__)
    for one in document["family"]:
        network = grown(study.agenda.base, rule_of(document["best"]), one["phi"])
        assert (one["params"], one["macs"]) == (network.cost().params, network.cost().macs)


def test_a_finished_search_is_told_again_without_training(folder: Path) -> None:
    before = told(folder)
    done = smidgen("search", "--resume", folder)
    assert (done.code, done.err) == (0, "")
    assert told(folder) == before
    verdict = before["comparisons"][0]["verdict"]
    assert "against width" in done.out
    assert verdict in done.out
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")


def test_other_pictures_than_at_the_beginning_are_refused(folder: Path, tmp_path: Path) -> None:
    about = dict(Study(folder).about)
    with pytest.raises(SmidgenError, match="is not what the search was begun with"):
        material_of(about | {"arrangement": "another"}, Watch())


def test_workers_see_pictures_in_the_way_that_was_decided_at_the_beginning(folder: Path) -> None:
    about = dict(Study(folder).about)
    assert about["aspect"] == "crop"
    assert material_of(about | {"aspect": "pad"}, Watch()).preprocess.aspect == "pad"
    del about["aspect"]  # as of a search that was begun before there was a choice
    assert material_of(about, Watch()).preprocess.aspect == "crop"


def test_resume_takes_no_new_decisions(folder: Path) -> None:
    done = smidgen("search", "--resume", folder, "--epochs", "3", "--no-grid")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "leave out" in done.err
    assert "--epochs" in done.err


def test_the_grids_winner_is_told_with_its_range(tmp_path: Path) -> None:
    study = begun(tmp_path / "s", agenda(grid=GRID))
    work(study, at_once, never)
    document = conclude(study)
    found = document["found"]
    assert found["rule"] == study.agenda.found(study.scores())
    low, high = found["ranges"]["alpha"]
    assert low <= found["alpha"] <= high
    assert sum(found["share_of_resamples"].values()) == pytest.approx(1)
    assert {one["first"] for one in document["comparisons"]} == {found["rule"]}
    assert document["family"][0]["macs"] == grown(study.agenda.base, rule_of("compound"), 0).cost().macs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "DATA and --family"),
        (("digits",), "DATA and --family"),
        (("digits", "--family", "shiftnt"), "did you mean shiftnet"),
        (("digits", "--family", "shiftnet", "--rules", "widht"), "did you mean width"),
        (("digits", "--family", "shiftnet", "--rules", "width,width"), "each at most once"),
        (("digits", "--family", "shiftnet", "--macs", "some"), "is not a quantity"),
        (("digits", "--family", "shiftnet", "--macs", ","), "at least one budget"),
        (("digits", "--family", "efficientnet", "--macs", "10k"), "leaves no room to grow"),
        (("nowhere", "--family", "shiftnet"), "nowhere"),
        (("--resume", "nowhere"), "begins a study"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = smidgen("search", *arguments, *(() if "--resume" in arguments else ("--out", tmp_path / "s")))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert words in done.err
    assert not (tmp_path / "s").exists()


def test_mistakes_have_their_classes(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        Wanted("digits", "shiftnt")
    with pytest.raises(BudgetError):
        search(Wanted("digits", "efficientnet", tmp_path / "s", (1000, 2000)), 1, Watch())
