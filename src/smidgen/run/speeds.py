"""How long an epoch of each trial takes, measured by trainings that are thrown away."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smidgen.run import forecast
from smidgen.run.plan import Plan, Trial, rungs_for
from smidgen.run.runner import TEACHER, Runner
from smidgen.run.together import before_training
from smidgen.spec import about
from smidgen.train import Stopwatch, TrainingError
from smidgen.watch import Watch

__all__ = ["Looks", "estimated", "measured", "measured_again", "without_teacher"]

# Times the multiply-adds a second of the fastest trial so far that another one may reach.
_FASTER = 8.0


@dataclass(slots=True)
class Looks:
    """How much measuring may cost.

    patience  seconds for each trial, as far as single steps allow
    most      seconds for all; the cheapest trial is measured in any case
    worth     seconds of an epoch above which a trial has no chance, and is not measured
    lessons   seconds that a teacher may take
    clock     of the measuring
    """

    patience: float
    most: float = math.inf
    worth: float = math.inf
    lessons: float = math.inf
    clock: Stopwatch = field(default_factory=Stopwatch)


def measured(plan: Plan, runner: Runner, workers: int, watch: Watch, looks: Looks) -> Plan:
    """The plan with the seconds of an epoch of every trial and of the teacher; what cannot train leaves it.

    The cheapest are measured first, by as many at the same time as will train together; those that are not
    measured any more have None. The teacher is measured alone, and not where it is too large in any case.

    Raises    TrainingError where none can be trained; StoppedError where somebody asked to stop
    """
    cheapest_first = sorted(range(len(plan.trials)), key=lambda number: _macs(plan.trials[number]))
    asked = {number: plan.trials[number] for number in cheapest_first}
    found = _timed(asked, runner, workers, watch, looks)
    failed = {number: error for number, error in found.items() if isinstance(error, TrainingError)}
    seconds = {number: one for number, one in found.items() if not isinstance(one, TrainingError)}
    lines = [f"{plan.trials[number].network.name} is left out: {error}" for number, error in failed.items()]
    for line in lines:
        watch.say(line)
    if len(failed) == len(plan.trials):
        raise TrainingError("no candidate can be trained: " + "; ".join(lines))
    trials = tuple(
        dataclasses.replace(trial, epoch_seconds=seconds[number])
        for number, trial in enumerate(plan.trials)
        if number in seconds
    )
    plan = dataclasses.replace(plan, trials=trials, rungs=rungs_for(len(trials), workers))
    return plan if plan.teacher is None else _with_teacher(plan, runner, watch, looks)


def estimated(plan: Plan) -> Plan:
    """The plan where trials that were not measured take as long as the others for their multiply-adds."""
    known = [trial for trial in plan.trials if trial.epoch_seconds is not None]
    each = sum(trial.epoch_seconds or 0.0 for trial in known) / max(1, sum(map(_macs, known)))
    trials = tuple(
        trial if trial.epoch_seconds is not None else _taking(trial, each * _macs(trial))
        for trial in plan.trials
    )
    return dataclasses.replace(plan, trials=trials)


def without_teacher(plan: Plan, needed: float, left: float, watch: Watch) -> Plan:
    """The plan without its teacher, who would need more seconds than are left for it; that is said."""
    assert plan.teacher is not None, "who is to go is there"
    watch.say(
        f"no teacher: tuning {plan.teacher.network.name} and its lessons would take {about(needed)} or more, "
        f"and --time leaves {about(max(0.0, left))} for them"
    )
    return _untaught(plan)


def measured_again(trial: Trial, runner: Runner, watch: Watch, patience: float) -> Trial:
    """The trial with the shorter of two times: what else runs on a machine can only add to them."""
    seconds = _timed({0: trial}, runner, 1, watch, Looks(patience))[0]
    if seconds is None or isinstance(seconds, TrainingError) or trial.epoch_seconds is None:
        return trial
    return _taking(trial, min(seconds, trial.epoch_seconds))


def _with_teacher(plan: Plan, runner: Runner, watch: Watch, looks: Looks) -> Plan:
    """The plan with its teacher's seconds of an epoch, or without a teacher."""
    assert plan.teacher is not None, "it has one"
    quickest = _taking(plan.teacher, _seconds_at_best(plan.teacher, plan.trials))
    least = forecast.lesson(dataclasses.replace(plan, teacher=quickest))
    if least > looks.lessons:
        return without_teacher(plan, least, looks.lessons, watch)
    seconds = _timed({TEACHER: plan.teacher}, runner, 1, watch, Looks(looks.patience))[TEACHER]
    if seconds is None or isinstance(seconds, TrainingError):
        watch.say(f"no teacher: {plan.teacher.network.name}: {seconds}")
        return _untaught(plan)
    return dataclasses.replace(plan, teacher=_taking(plan.teacher, seconds))


def _untaught(plan: Plan) -> Plan:
    return dataclasses.replace(plan, teacher=None, trials=tuple(trial.untaught() for trial in plan.trials))


def _taking(trial: Trial, seconds: float) -> Trial:
    return dataclasses.replace(trial, epoch_seconds=seconds)


def _macs(trial: Trial) -> int:
    return trial.network.cost().macs


def _seconds_at_best(large: Trial, others: tuple[Trial, ...] | list[Trial]) -> float:
    """Seconds of an epoch at _FASTER times the best pace of the others; 0 where none is known."""
    pace = max((_macs(trial) / trial.epoch_seconds for trial in others if trial.epoch_seconds), default=0.0)
    return _macs(large) / (_FASTER * pace) if pace > 0 else 0.0


def _timed(
    trials: Mapping[int, Trial], runner: Runner, workers: int, watch: Watch, looks: Looks
) -> dict[int, float | TrainingError | None]:
    """Seconds of an epoch of each trial, in their order; None where it is not worth a look any more."""
    seen: list[Trial] = []

    def time(trial: Trial, advance: Callable[[int], None], stopping: Callable[[], bool]) -> float | None:
        late, least = looks.clock.seconds > looks.most, _seconds_at_best(trial, seen)
        seconds = None
        if not (seen and (late or least > looks.worth)):
            seconds = runner.epoch_seconds(trial, looks.patience, stopping)
            seen.append(_taking(trial, seconds))
        advance(1)
        return seconds

    pieces = {number: functools.partial(time, trial) for number, trial in trials.items()}
    return before_training("measuring speeds", pieces, workers, watch)
