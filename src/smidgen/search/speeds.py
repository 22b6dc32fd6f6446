"""How long an epoch of each trial takes, measured by trainings that are thrown away."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from smidgen.search.plan import Plan, Trial
from smidgen.search.runner import TEACHER, Runner
from smidgen.search.together import together
from smidgen.spec import SmidgenError, StoppedError
from smidgen.train.errors import Interrupted, TrainingError
from smidgen.watch import Watch

__all__ = ["measured", "measured_again"]


def measured(plan: Plan, runner: Runner, workers: int, watch: Watch, patience: float) -> Plan:
    """The plan with the seconds of an epoch of every trial and of the teacher; what cannot train leaves it.

    The trials are measured by as many at the same time as will train together, the teacher alone.

    patience  seconds for each
    Raises    TrainingError where none can be trained; StoppedError where somebody asked to stop
    """
    asked = dict(enumerate(plan.trials))
    found = _timed(asked, runner, workers, watch, patience)
    trials, failed = [], []
    for number, trial in asked.items():
        seconds = found[number]
        if isinstance(seconds, TrainingError):
            failed.append(f"{trial.network.name} is left out: {seconds}")
            watch.say(failed[-1])
        else:
            trials.append(dataclasses.replace(trial, epoch_seconds=seconds))
    if not trials:
        raise TrainingError("no candidate can be trained: " + "; ".join(failed))
    return dataclasses.replace(plan, trials=tuple(trials), teacher=_teacher(plan, runner, watch, patience))


def measured_again(trial: Trial, runner: Runner, watch: Watch, patience: float) -> Trial:
    """The trial with the shorter of two times: what else runs on a machine can only add to them."""
    seconds = _timed({0: trial}, runner, 1, watch, patience)[0]
    if isinstance(seconds, TrainingError) or trial.epoch_seconds is None:
        return trial
    return dataclasses.replace(trial, epoch_seconds=min(seconds, trial.epoch_seconds))


def _teacher(plan: Plan, runner: Runner, watch: Watch, patience: float) -> Trial | None:
    if plan.teacher is None:
        return None
    seconds = _timed({TEACHER: plan.teacher}, runner, 1, watch, patience)[TEACHER]
    if isinstance(seconds, TrainingError):
        raise SmidgenError(f"the teacher {plan.teacher.network.name}: {seconds}; --from-scratch does without")
    return dataclasses.replace(plan.teacher, epoch_seconds=seconds)


def _timed(
    trials: dict[int, Trial], runner: Runner, workers: int, watch: Watch, patience: float
) -> dict[int, float | TrainingError]:
    def time(trial: Trial, advance: Callable[[int], None], stopping: Callable[[], bool]) -> float:
        seconds = runner.epoch_seconds(trial, patience, stopping)
        advance(1)
        return seconds

    pieces = {number: functools.partial(time, trial) for number, trial in trials.items()}
    try:
        return together("measuring speeds", len(pieces), pieces, workers, watch)
    except Interrupted:
        raise StoppedError("stopped before anything was trained; nothing was written") from None
