"""How long everything trains: epochs from the data, or from a time limit and measured speeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smidgen.graph import Network
from smidgen.run import forecast
from smidgen.run.plan import Plan, Trial, full_trainings, rungs_for
from smidgen.run.runner import Runner
from smidgen.run.speeds import Looks, estimated, measured, measured_again, without_teacher
from smidgen.spec import SmidgenError, about, shown
from smidgen.train import Material, Recipe, Stopwatch, recipe
from smidgen.watch import Watch

__all__ = [
    "FEWEST_EPOCHS",
    "FEWEST_IN_TIME",
    "MOST_EPOCHS",
    "STEPS",
    "Deadline",
    "augmentation_strength",
    "default_epochs",
    "default_recipe",
    "foreseen",
    "unasked_seconds",
    "within",
]

STEPS = 1200  # of the full training, in batches, as far as the bounds on the epochs allow
FEWEST_EPOCHS, MOST_EPOCHS = 10, 400
MOST_TUNED = 60  # of published weights

# Of a time limit: what is left for looking at the test pictures, measuring and writing the report.
RESERVE_LEAST, RESERVE_SECONDS, RESERVE_OF_SHORT, RESERVE_SHARE = 7.0, 12.0, 0.2, 0.04
# Of a time limit: for measuring speeds, as far as steps are short, at most in any case, and seconds for each.
MEASURED_SHARE, MOST_MEASURED, _LONGEST_LOOK = 0.05, 0.2, 1.0  # the last for one trial
_NOISE = 4.0  # times that other work on the machine may make a measurement longer
# Of what is left of it: for a teacher, at most.
TEACHER_SHARE = 0.5
# Candidates that would see the pictures less often than this leave the contest to faster ones.
FEWEST_IN_TIME = 4
# Without a time limit: seconds of a contest, and for each picture to train on.
UNASKED_LEAST, UNASKED_EACH = 270.0, 0.3
# Parameters for each picture times epochs, at which augmentation begins and is at its full strength.
WEAKEST, STRONGEST = 5.0, 500.0
# From so many training pictures on, batches are twice as large: faster, and steps enough are left.
MANY_PICTURES = 20_000
# Without a time limit: seconds of training that nobody needs to be told of, and how long speeds are measured.
_MOMENTS, _SHORT_LOOK, _MOST_LOOKING = 15.0, 0.3, 10.0
_STEP_SECONDS, _MACS = 0.004, 3e10  # of the smallest step, and in a second

DEFAULT = "default"  # name of `small` as it is fitted to network and pictures


def unasked_seconds(material: Material) -> float:
    """Seconds of a whole contest where nobody set a time: some minutes, more where there is more to learn."""
    return max(UNASKED_LEAST, UNASKED_EACH * len(material.split.train))


def default_epochs(pictures: int, batch_size: int) -> int:
    """Epochs of the full training where neither they nor a time were asked for."""
    per_epoch = math.ceil(pictures / batch_size)
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(STEPS / per_epoch)))


def default_recipe(material: Material, network: Network, epochs: int | None = None) -> Recipe:
    """The recipe for small networks, as long as the data want it, with augmentation of a fitting strength.

    A network with many parameters for each picture would learn the pictures by heart: strong augmentation
    keeps it from that. One with few can hardly take in the pictures as they are, in few epochs least of all.
    """
    pictures = len(material.split.train)
    base = recipe("small")
    if pictures >= MANY_PICTURES:
        base = dataclasses.replace(base, batch_size=2 * base.batch_size)
    count = epochs or default_epochs(pictures, base.batch_size)
    strength = augmentation_strength(network.cost().params, pictures, count)
    return dataclasses.replace(
        base.shortened(count),
        name=DEFAULT,
        augment=base.augment.scaled(strength),
        label_smoothing=base.label_smoothing * strength,
    )


def augmentation_strength(params: int, pictures: int, epochs: int) -> float:
    """Share of the recipe's augmentation, between 0 and 1, for a network of so many parameters."""
    passes = params / pictures * epochs
    return min(1.0, max(0.0, math.log(passes / WEAKEST) / math.log(STRONGEST / WEAKEST)))


def foreseen(plan: Plan, runner: Runner, workers: int, watch: Watch) -> Plan:
    """The plan with the seconds of an epoch of each trial, measured where training is no matter of moments.

    Raises   as `measured`
    """
    if _moments(plan, runner) <= _MOMENTS:
        return plan
    return estimated(measured(plan, runner, workers, watch, Looks(_SHORT_LOOK, _MOST_LOOKING)))


def _moments(plan: Plan, runner: Runner) -> float:
    """Seconds that the plan would take one core of a fast machine at least, by arithmetic."""
    pictures = len(runner.material.split.train)
    total = 0.0
    for trial in (*plan.trials, *([plan.teacher] if plan.teacher else [])):
        steps = trial.recipe.epochs * math.ceil(pictures / trial.recipe.batch_size)
        total += (
            steps * _STEP_SECONDS + 3 * trial.recipe.epochs * pictures * trial.network.cost().macs / _MACS
        )
    return total


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a job has to be done.

    limit  seconds of the whole job
    clock  of the job, since it began
    """

    limit: float
    clock: Stopwatch

    def left(self) -> float:
        """Seconds for training and what comes before; below 0 where it is too late."""
        return self.limit - _reserve(self.limit) - self.clock.seconds


def within(
    deadline: Deadline, plan: Plan, runner: Runner, workers: int, watch: Watch, most: int | None = None
) -> Plan:
    """The plan with as many epochs for each trial as fit into the time.

    What is optional is given up: first the teacher, then the slowest candidates. All trials get the same
    time, so that slower ones get fewer epochs: what is compared is what each makes of the time. The speeds
    are measured now, in a small share of it, and once more where they decide who leaves.

    most     epochs, whatever the time; default: MOST_EPOCHS of the default recipe, of others their own
    Raises   SmidgenError where the time is too short for any, with one that would do; TrainingError where
             none can be trained; StoppedError where somebody asked to stop.
    """
    left = deadline.left
    patience = min(_LONGEST_LOOK, MEASURED_SHARE * deadline.limit * workers / len(plan.trials))

    def again(trial: Trial) -> Trial:
        return measured_again(trial, runner, watch, patience)

    looks = Looks(patience, MOST_MEASURED * deadline.limit, left() / FEWEST_IN_TIME, TEACHER_SHARE * left())
    plan = measured(plan, runner, workers, watch, looks)
    unseen = [trial for trial in plan.trials if trial.epoch_seconds is None]
    known = tuple(trial for trial in plan.trials if trial.epoch_seconds is not None)
    plan = dataclasses.replace(plan, trials=known, rungs=rungs_for(len(known), workers))
    plan = _with_teacher_in(plan, left, workers, watch, again)
    trials, left_out = _in_time(plan, left, workers, again)
    if not trials:
        raise SmidgenError(_too_short(deadline, left_out[-1]))
    for line in _gone(unseen, left_out):
        watch.say(line)
    rungs = rungs_for(len(trials), workers)
    each = (left() - forecast.lesson(plan)) / full_trainings(len(trials), rungs, workers)
    fitting = tuple(_for(trial, each / _seconds(trial), most, runner.material) for trial in trials)
    return dataclasses.replace(plan, trials=fitting, rungs=rungs)


def _in_time(
    plan: Plan, left: Callable[[], float], workers: int, again: Callable[[Trial], Trial]
) -> tuple[list[Trial], list[Trial]]:
    """Trials that see the pictures often enough in their share of the time, and the others, slowest first."""
    lesson, staying = forecast.lesson(plan), dict(enumerate(plan.trials))
    doubted, left_out = set(staying), []
    while staying:
        each = (left() - lesson) / full_trainings(len(staying), rungs_for(len(staying), workers), workers)
        slowest = max(staying, key=lambda number: _seconds(staying[number]))
        fewest = FEWEST_IN_TIME if len(staying) > 1 else 1
        needed = fewest * _seconds(staying[slowest])
        if each >= needed:
            break
        if slowest in doubted and _NOISE * each >= needed:  # what is far too slow is so in any case
            doubted.remove(slowest)
            staying[slowest] = again(staying[slowest])
        else:
            left_out.append(staying.pop(slowest))
    return list(staying.values()), left_out


def _with_teacher_in(
    plan: Plan, left: Callable[[], float], workers: int, watch: Watch, again: Callable[[Trial], Trial]
) -> Plan:
    """The plan with its teacher where that leaves half of the time, and enough of it for every candidate."""
    if plan.teacher is None or _teacher_fits(plan, left(), workers):
        return plan
    if forecast.lesson(plan) <= _NOISE * TEACHER_SHARE * left():
        plan = dataclasses.replace(plan, teacher=again(plan.teacher))
        if _teacher_fits(plan, left(), workers):
            return plan
    return without_teacher(plan, forecast.lesson(plan), TEACHER_SHARE * left(), watch)


def _teacher_fits(plan: Plan, left: float, workers: int) -> bool:
    lesson = forecast.lesson(plan)
    each = (left - lesson) / full_trainings(len(plan.trials), plan.rungs, workers)
    fewest = FEWEST_IN_TIME if len(plan.trials) > 1 else 1
    return lesson <= TEACHER_SHARE * left and each >= fewest * max(map(_seconds, plan.trials))


def _seconds(trial: Trial) -> float:
    assert trial.epoch_seconds is not None, "measured before"
    return trial.epoch_seconds


def _reserve(limit: float) -> float:
    """Seconds of a time limit for looking at the test pictures, measuring and writing the report."""
    return min(RESERVE_SECONDS, max(RESERVE_LEAST, RESERVE_OF_SHORT * limit)) + RESERVE_SHARE * limit


def _gone(unseen: list[Trial], left_out: list[Trial]) -> Iterator[str]:
    """Who does not take part, and why."""
    if unseen:
        names = ", ".join(trial.network.name for trial in unseen)
        yield f"left out, for the time is too short for so many multiply-adds: {names}"
    if left_out:
        each = ", ".join(f"{trial.network.name} ({shown(_seconds(trial))} s)" for trial in left_out)
        yield f"left out, for their share of the time holds no {FEWEST_IN_TIME} epochs of them: {each}"


def _too_short(deadline: Deadline, fastest: Trial) -> str:
    """Why the time does not do, and which would."""
    limit, clock = deadline.limit, deadline.clock
    needed = clock.seconds + 1.5 * _seconds(fastest)
    share = 1 - RESERVE_SHARE - 2 * MEASURED_SHARE
    enough = min(needed / (share - RESERVE_OF_SHORT), (needed + RESERVE_SECONDS) / share)
    enough = max(limit, enough, (needed + RESERVE_LEAST) / share)
    step = 5 if enough < 60 else 30 if enough < 600 else 300
    wanted = step * math.ceil(1.1 * enough / step)
    written = f"{wanted}s" if wanted < 120 else f"{math.ceil(wanted / 60)}m"
    return (
        f"--time of {about(limit)} is too short: checking and measuring took {about(clock.seconds)}, and an "
        f"epoch of {fastest.network.name}, the fastest candidate, takes {shown(_seconds(fastest))} s; "
        f"--time {written} would do"
    )


def _longest(trial: Trial) -> int:
    """Epochs after which more of them are not worth it, or are not what its recipe says."""
    if trial.start is not None:
        return max(MOST_TUNED, trial.recipe.epochs)
    return MOST_EPOCHS if trial.recipe.name == DEFAULT else trial.recipe.epochs


def _for(trial: Trial, epochs: float, most: int | None, material: Material) -> Trial:
    """The trial with so many epochs, and the augmentation that goes with them."""
    own = _longest(trial)
    count = max(1, min(most or own, math.floor(epochs)))
    shorter = trial.recipe.shortened(count)
    if shorter.name == DEFAULT and not shorter.distillation:
        default = default_recipe(material, trial.network, count)
        shorter = dataclasses.replace(
            shorter, augment=default.augment, label_smoothing=default.label_smoothing
        )
    return dataclasses.replace(trial, recipe=shorter)
