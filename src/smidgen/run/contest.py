"""Successive halving: all candidates train a while, the better ones train on, the best to the end.

Nothing but the candidates' own checkpoints and rows decides what happens next, so a contest that was
stopped anywhere, killed too, goes on as if it had not been.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.run import forecast
from smidgen.run.plan import Plan, Rung
from smidgen.run.runner import TEACHER, Runner
from smidgen.run.together import together
from smidgen.spec import about, counted
from smidgen.train import EpochRow, TrainingError
from smidgen.train.distil import VIEWS
from smidgen.watch import Watch

__all__ = ["Outcome", "contest", "spearman"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a contest ended.

    best    number of the winner among the trials
    rows    of every trial, as far as it was trained
    rungs   for the report: epochs, candidates, and the agreement with the next rung's order
    failed  why a trial went wrong, by its number
    taught_by  last row of the teacher, where there was one
    head    what the winner came to with its head alone fitted, where that is better than tuning all
    """

    best: int
    rows: tuple[tuple[EpochRow, ...], ...]
    rungs: tuple[dict[str, Any], ...]
    failed: dict[int, str]
    taught_by: EpochRow | None = None
    head: EpochRow | None = None

    @property
    def last(self) -> EpochRow:
        """What the weights that are kept came to."""
        return self.head or self.rows[self.best][-1]


def contest(plan: Plan, runner: Runner, workers: int, watch: Watch) -> Outcome:
    """Train the plan's trials against each other, `workers` of them at the same time.

    Raises   Interrupted once every running trial has kept its state; CheckpointError where the disk
             refuses; TrainingError where all trials went wrong.
    """
    taught_by = _teacher(plan, runner, watch)
    rows: list[tuple[EpochRow, ...]] = [() for _ in plan.trials]
    failed: dict[int, str] = {}
    active = list(range(len(plan.trials)))
    orders: list[dict[int, float]] = []
    before = 0.0
    for rung in plan.rungs:
        _announce(plan, before, rung, active, workers, watch)
        for number, result in _all_to(rung.share, active, runner, workers, watch).items():
            if isinstance(result, TrainingError):
                failed[number] = str(result)
                watch.say(f"{plan.trials[number].network.name} is out: {result}")
            else:
                rows[number] = result
        active = [number for number in active if number not in failed]
        if not active:
            raise TrainingError("; ".join(dict.fromkeys(failed.values())))
        active.sort(
            key=lambda number: (plan.score(rows[number][-1]), -rows[number][-1].val_loss), reverse=True
        )
        orders.append({number: plan.score(rows[number][-1]) for number in active})
        _tell(plan, active, rows, rung, watch)
        active, before = active[: rung.kept], rung.share
    return Outcome(active[0], tuple(rows), tuple(_rung_rows(plan, orders)), failed, taught_by)


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None below three values or where one side is flat."""
    if len(a) < 3:
        return None
    first, second = _ranks(a), _ranks(b)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    below = (array[None, :] < array[:, None]).sum(1)
    equal = (array[None, :] == array[:, None]).sum(1)
    return np.asarray(below + (equal - 1) / 2, np.float64)


def _teacher(plan: Plan, runner: Runner, watch: Watch) -> EpochRow | None:
    """Train the plan's teacher, if it has one, and let it teach; the last row of its training."""
    if plan.teacher is None:
        return None
    network, epochs = plan.teacher.network, plan.teacher.recipe.epochs
    watch.heading(
        f"tuning {network.name}, which will teach, for {counted(epochs, 'epoch')} at "
        f"{network.input.height} pixels{_taking(forecast.tuning(plan))}"
    )
    result = _all_to(1.0, [TEACHER], runner, 1, watch)[TEACHER]
    if isinstance(result, TrainingError):
        raise TrainingError(f"the teacher {network.name}: {result}; --from-scratch does without")
    watch.say(f"{network.name:<28} validation {100 * result[-1].val_accuracy:.1f} %")
    runner.learn_from(runner.finished(TEACHER))
    watch.heading(
        f"{network.name} looks at {VIEWS} views of every picture, for its pupils to learn from"
        f"{_taking(forecast.lessons(plan))}"
    )
    lessons = together("pictures looked at", runner.lessons(), {TEACHER: runner.teach}, 1, watch)[TEACHER]
    if isinstance(lessons, TrainingError):
        raise TrainingError(f"the lessons of {network.name}: {lessons}; --from-scratch does without")
    return result[-1]


def _all_to(
    share: float, active: Sequence[int], runner: Runner, workers: int, watch: Watch
) -> dict[int, tuple[EpochRow, ...] | TrainingError]:
    """Train all active trials to a share of their training; their rows, or what went wrong."""
    label = runner.trial(active[0]).network.name if len(active) == 1 else f"{len(active)} candidates"
    pieces = {number: functools.partial(runner.train, number, share) for number in active}
    total = sum(runner.steps(number, share) for number in active)
    return together(label, total, pieces, workers, watch)


def _announce(
    plan: Plan, before: float, rung: Rung, active: Sequence[int], workers: int, watch: Watch
) -> None:
    """Say what is going to be done now, and about how long it takes; nothing where all stand there already.

    before   share of the training after which they stand
    """
    trials = [plan.trials[number] for number in active]
    if before and all(trial.epochs_at(before) == trial.epochs_at(rung.share) for trial in trials):
        return
    epochs = sorted({trial.epochs_at(rung.share) for trial in trials})
    span = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    plural = "epoch" if epochs == [1] else "epochs"
    who = trials[0].network.name if len(trials) == 1 else f"{len(trials)} candidates"
    length = f"on to epoch {span}" if before else f"for {span} {plural}"
    why = "" if len(trials) == 1 else " (the end)" if rung.share == 1 else ", to compare them"
    taking = _taking(forecast.stretch(trials, before, rung.share, workers))
    watch.heading(f"training {who} {length}{why}{taking}")


def _taking(seconds: float | None) -> str:
    """The end of a heading: about how long it takes, where that is known and worth a word."""
    return "" if seconds is None or seconds < 1 else f": about {about(seconds)}"


def _tell(
    plan: Plan, active: Sequence[int], rows: Sequence[tuple[EpochRow, ...]], rung: Rung, watch: Watch
) -> None:
    if len(active) == 1 and rung.share == 1:
        return
    wide = max(len(trial.network.name) for trial in plan.trials)
    for place, number in enumerate(active):
        network, last = plan.trials[number].network, rows[number][-1]
        cost = network.cost()
        mark = "  goes on" if place < rung.kept < len(active) and rung.share < 1 else ""
        watch.say(
            f"{network.name:<{wide}} {cost.params:>9,} params {cost.macs:>12,} MACs   "
            f"{'balanced ' if plan.balanced else ''}validation {100 * plan.score(last):.1f} %{mark}"
        )


def _rung_rows(plan: Plan, orders: Sequence[dict[int, float]]) -> list[dict[str, Any]]:
    """For the report: each rung with the agreement between its order and the next one's."""
    result = []
    for place, (rung, order) in enumerate(zip(plan.rungs, orders, strict=True)):
        later = orders[place + 1] if place + 1 < len(orders) else {}
        following = plan.rungs[min(place + 1, len(plan.rungs) - 1)].share
        # A rung at the same epoch would be compared with itself.
        both = [
            number
            for number in order
            if number in later
            and plan.trials[number].epochs_at(rung.share) < plan.trials[number].epochs_at(following)
        ]
        agreement = spearman([order[number] for number in both], [later[number] for number in both])
        epochs = max(plan.trials[number].epochs_at(rung.share) for number in order)
        result.append({"epochs": epochs, "candidates": len(order), "spearman": agreement})
    return result
