"""How long everything trains: epochs from the data, or from a time limit and measured speeds."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

from smidgen.search.plan import Plan, Trial, full_trainings, rungs_for
from smidgen.search.runner import Runner
from smidgen.spec import SmidgenError
from smidgen.train.clock import Clock
from smidgen.watch import Watch

__all__ = ["FEWEST_EPOCHS", "MOST_EPOCHS", "STEPS", "default_epochs", "within"]

STEPS = 1200  # of the full training, in batches, as far as the bounds on the epochs allow
FEWEST_EPOCHS, MOST_EPOCHS = 10, 400

# Of a time limit: what is left for looking at the test pictures, measuring and writing the report.
RESERVE_SECONDS, RESERVE_SHARE = 12.0, 0.04
# Candidates that would see the pictures less often than this learn too little to be compared.
FEWEST_IN_TIME = 3
_MEASURED_SECONDS = 2.0


def default_epochs(pictures: int, batch_size: int) -> int:
    """Epochs of the full training where neither they nor a time were asked for."""
    per_epoch = math.ceil(pictures / batch_size)
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(STEPS / per_epoch)))


def within(seconds: float, plan: Plan, runner: Runner, workers: int, watch: Watch) -> Plan:
    """The plan with as many epochs for each trial as fit into the time; those that are too slow leave it.

    All trials get the same time, so that slower ones get fewer epochs: what is compared is what each makes
    of the time. The speeds are measured now, by as many trials at the same time as will train together.
    Raises   SmidgenError where the time is too short for any.
    """
    clock = Clock()
    lesson = 0.0
    if plan.teacher is not None:
        lesson = plan.teacher.recipe.epochs * _epoch_seconds(runner, plan.teacher)
        runner.learn_from(runner.initial(plan.teacher))  # knows nothing yet, and takes as long
    with watch.progress("measuring speeds") as report, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_epoch_seconds, runner, trial) for trial in plan.trials]
        speeds = []
        for done, future in enumerate(futures, 1):
            speeds.append(future.result())
            report(done, len(futures))
    left = seconds * (1 - RESERVE_SHARE) - RESERVE_SECONDS - clock.seconds - lesson
    trials = list(plan.trials)
    while trials:
        rungs = rungs_for(len(trials), workers)
        each = left / full_trainings(len(trials), rungs, workers)
        slowest = max(range(len(trials)), key=speeds.__getitem__)
        if each >= FEWEST_IN_TIME * speeds[slowest]:
            timed = zip(trials, speeds, strict=True)
            return Plan(tuple(_for(trial, each / epoch) for trial, epoch in timed), rungs, plan.teacher)
        if len(trials) > 1:
            watch.say(f"{trials[slowest].network.name} is left out: an epoch takes {speeds[slowest]:.0f} s")
        del trials[slowest], speeds[slowest]
    teacher = f", after {lesson:.0f} s for the teacher (--from-scratch does without)" if lesson else ""
    raise SmidgenError(
        f"the time is too short: {FEWEST_IN_TIME} epochs of the fastest candidate do not fit into what is "
        f"left of it, {max(0.0, left):.0f} s{teacher}; give more --time, or fewer pictures"
    )


def _for(trial: Trial, epochs: float) -> Trial:
    count = max(1, min(MOST_EPOCHS, math.floor(epochs)))
    return dataclasses.replace(trial, recipe=trial.recipe.shortened(count))


def _epoch_seconds(runner: Runner, trial: Trial) -> float:
    """Seconds of one epoch, from some steps of a training that is thrown away, and a validation."""
    with runner.threads_for(trial):
        return runner.training(trial).epoch_seconds(_MEASURED_SECONDS)
