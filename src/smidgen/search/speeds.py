"""How long an epoch of each trial takes, measured by trainings that are thrown away."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

from smidgen.search import forecast
from smidgen.search.plan import Plan, Trial
from smidgen.search.runner import TEACHER, Runner
from smidgen.search.together import together
from smidgen.spec import SmidgenError, StoppedError, about
from smidgen.train.errors import Interrupted, TrainingError
from smidgen.watch import Watch

__all__ = ["measured", "measured_again", "without_teacher"]

# Times the multiply-adds a second of the fastest candidate that a large network may reach.
_FASTER = 8.0


def measured(
    plan: Plan, runner: Runner, workers: int, watch: Watch, patience: float, lessons: float = math.inf
) -> Plan:
    """The plan with the seconds of an epoch of every trial and of the teacher; what cannot train leaves it.

    The trials are measured by as many at the same time as will train together, the teacher alone, and not
    where it is too large in any case.

    patience  seconds for each
    lessons   seconds that the teacher may take
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
    plan = dataclasses.replace(plan, trials=tuple(trials))
    if plan.teacher is None:
        return plan
    quickest = _seconds_at_best(plan.teacher, trials)
    least = forecast.lesson(dataclasses.replace(plan, teacher=_taking(plan.teacher, quickest)))
    if least > lessons:
        return without_teacher(plan, least, lessons, watch)
    seconds = _timed({TEACHER: plan.teacher}, runner, 1, watch, patience)[TEACHER]
    if isinstance(seconds, TrainingError):
        raise SmidgenError(f"the teacher {plan.teacher.network.name}: {seconds}; --from-scratch does without")
    return dataclasses.replace(plan, teacher=_taking(plan.teacher, seconds))


def without_teacher(plan: Plan, needed: float, left: float, watch: Watch) -> Plan:
    """The plan without its teacher, who would need more seconds than are left for it; that is said."""
    assert plan.teacher is not None, "who is to go is there"
    watch.say(
        f"no teacher: tuning {plan.teacher.network.name} and its lessons would take {about(needed)} or more, "
        f"and --time leaves {about(max(0.0, left))} for them"
    )
    return dataclasses.replace(plan, teacher=None, trials=tuple(trial.untaught() for trial in plan.trials))


def measured_again(trial: Trial, runner: Runner, watch: Watch, patience: float) -> Trial:
    """The trial with the shorter of two times: what else runs on a machine can only add to them."""
    seconds = _timed({0: trial}, runner, 1, watch, patience)[0]
    if isinstance(seconds, TrainingError) or trial.epoch_seconds is None:
        return trial
    return dataclasses.replace(trial, epoch_seconds=min(seconds, trial.epoch_seconds))


def _taking(trial: Trial, seconds: float) -> Trial:
    return dataclasses.replace(trial, epoch_seconds=seconds)


def _seconds_at_best(large: Trial, others: list[Trial]) -> float:
    """Seconds of an epoch of a large network at _FASTER times the best pace of the others."""
    pace = max(trial.network.cost().macs / (trial.epoch_seconds or math.inf) for trial in others)
    return large.network.cost().macs / (_FASTER * pace) if pace > 0 else 0.0


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
