"""What is due follows from what is done, in whatever order it was done."""

from __future__ import annotations

import json
import random

import pytest

from search.tiny_search import GRID, agenda, score
from smidgen.search.agenda import FINALISTS, Agenda, Task
from smidgen.search.growth import BASE


def everything(what: Agenda, order: random.Random) -> dict[Task, float]:
    """Do what is due, in any order, until nothing is."""
    scores: dict[Task, float] = {}
    while left := [task for task in what.due(scores) if task not in scores]:
        task = order.choice(left)
        scores[task] = score(task)
    return scores


@pytest.mark.parametrize("seed", range(10))
def test_any_order_ends_with_the_same_tasks(seed: int) -> None:
    what = agenda(grid=GRID)
    found, expected = everything(what, random.Random(seed)), everything(what, random.Random(99))
    assert found == expected
    assert what.found(found) == what.found(expected)


def test_without_a_grid_every_pair_of_rule_and_budget_is_trained_with_every_seed() -> None:
    what = agenda(rules=("compound", "depth"), seeds=3)
    tasks = everything(what, random.Random(0))
    pairs = {(task.rule, task.macs) for task in tasks}
    assert pairs == {(rule, macs) for rule in ("compound", "depth") for macs in what.budgets} | {
        (BASE, what.base_macs)
    }
    assert len(tasks) == 3 * len(pairs)
    assert {task.epochs for task in tasks} == {6}


def test_halving_trains_all_candidates_a_little_and_the_finalists_fully() -> None:
    what = agenda(grid=GRID, seeds=3)
    tasks = everything(what, random.Random(0))
    first = {task.rule for task in tasks if task.epochs == 2}
    assert first == {group[0] for group in GRID}
    finalists = what.finalists(tasks)
    assert len(finalists) == FINALISTS
    for label in finalists:
        assert set(what.tasks_of(label, what.budgets[0])) <= tasks.keys()


def test_the_best_of_a_heat_go_on() -> None:
    what = agenda(rules=(), grid=GRID, seeds=1)
    first = what.heats()[0]
    scores = {
        Task(group[0], what.budgets[0], 0, first.epochs): place / 10 for place, group in enumerate(GRID)
    }
    later = {task.rule for task in what.due(scores) if task not in scores} - {BASE}
    assert later == {group[0] for group in GRID[-what.heats()[1].candidates :]}


def test_a_heat_waits_for_all_of_the_one_before() -> None:
    what = agenda(grid=GRID, seeds=1)
    first = [task for task in what.due({}) if task.epochs == what.heats()[0].epochs]
    assert len(first) == len(GRID)
    assert what.due(dict.fromkeys(first[1:], 0.5)) == what.due({})


def test_the_winner_is_compared_at_every_budget() -> None:
    what = agenda(rules=("width",), grid=GRID)
    scores = everything(what, random.Random(0))
    winner = what.found(scores)
    assert winner is not None
    assert scores[Task(winner, what.budgets[0], 0, 6)] > 0
    for macs in what.budgets:
        assert set(what.tasks_of(winner, macs)) <= scores.keys()


def test_work_that_was_foretold_is_the_work_that_is_done() -> None:
    what = agenda(rules=("width", "depth", "resolution"))
    done = sum(task.epochs * task.macs for task in everything(what, random.Random(0)))
    assert done == what.work()


def test_a_grid_never_takes_more_work_than_was_foretold() -> None:
    for rules in (("width",), ("compound", "depth"), ("resolution", "width")):
        what = agenda(rules=rules, grid=GRID)
        done = sum(task.epochs * task.macs for task in everything(what, random.Random(0)))
        assert 0.5 * what.work() < done <= what.work()


def test_equal_networks_are_trained_once() -> None:
    """Width alone is on the lattice too, as 1/1.4/1, and has the same network here."""
    what = agenda(rules=("width",), grid=(("1/1.4/1",), ("compound",)))
    assert what.network("width", 2_000_000)[1].tree == what.network("1/1.4/1", 2_000_000)[1].tree
    tasks = everything(what, random.Random(0))
    assert "1/1.4/1" not in {task.rule for task in tasks if task.macs == 2_000_000}
    assert what.found(tasks) is not None


def test_an_agenda_survives_json() -> None:
    what = agenda(grid=GRID)
    assert Agenda.from_json(json.loads(json.dumps(what.to_json()))) == what
