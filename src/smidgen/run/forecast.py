"""About how long a plan takes, from the seconds of an epoch of each trial; None where these are not known."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.run.plan import Plan, Trial
from smidgen.train.distil import VIEWS

__all__ = ["contest", "lesson", "lessons", "stretch", "tuning", "whole"]

# Of an epoch, which is a pass forward and one back of twice the work: what one view of a lesson takes.
_VIEW = 1 / 3


def whole(plan: Plan, workers: int) -> float | None:
    """Seconds of teacher and contest together."""
    parts = [tuning(plan), lessons(plan), contest(plan, workers)]
    known = [seconds for seconds in parts if seconds is not None]
    return sum(known) if len(known) == len(parts) else None


def tuning(plan: Plan) -> float | None:
    """Seconds for which the teacher is tuned; 0 without one."""
    if plan.teacher is None:
        return 0.0
    each = plan.teacher.epoch_seconds
    return None if each is None else plan.teacher.recipe.epochs * each


def lessons(plan: Plan) -> float | None:
    """Seconds for which the teacher gives lessons, to pupils of every size anew; 0 without one."""
    if plan.teacher is None:
        return 0.0
    sizes = len({trial.network.input for trial in plan.trials if trial.teacher})
    each = plan.teacher.epoch_seconds
    return None if each is None else sizes * VIEWS * _VIEW * each


def lesson(plan: Plan) -> float:
    """Seconds of a measured teacher's tuning and lessons together; 0 without one."""
    return (tuning(plan) or 0.0) + (lessons(plan) or 0.0)


def stretch(trials: Sequence[Trial], before: float, share: float, workers: int) -> float | None:
    """Seconds from one share of the training to another, so many trials at the same time."""
    spent = [_spent(trial, before, share) for trial in trials]
    known = [seconds for seconds in spent if seconds is not None]
    if len(known) < len(spent):
        return None
    return max(sum(known) / workers, max(known, default=0.0))


def contest(plan: Plan, workers: int) -> float | None:
    """Seconds of the whole contest; who goes on is not known, so everybody may, in part."""
    total, before, left = 0.0, 0.0, len(plan.trials)
    for rung in plan.rungs:
        seconds = [_spent(trial, before, rung.share) for trial in plan.trials]
        known = [one for one in seconds if one is not None]
        if len(known) < len(seconds):
            return None
        mean = sum(known) / len(known)
        total += max(left * mean / min(workers, left), mean)
        before, left = rung.share, rung.kept
    return total


def _spent(trial: Trial, before: float, share: float) -> float | None:
    if trial.epoch_seconds is None:
        return None
    begun = trial.epochs_at(before) if before else 0
    return trial.epoch_seconds * (trial.epochs_at(share) - begun)
