"""How long everything trains: epochs from the data, or from a time limit and measured speeds."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

from smidgen.graph import Network
from smidgen.search.plan import Plan, Trial, full_trainings, rungs_for
from smidgen.search.runner import Runner
from smidgen.spec import SmidgenError, shown
from smidgen.train.clock import Clock
from smidgen.train.distil import VIEWS
from smidgen.train.errors import TrainingError
from smidgen.train.material import Material
from smidgen.train.recipe import Recipe, recipe
from smidgen.watch import Watch

__all__ = [
    "FEWEST_EPOCHS",
    "MOST_EPOCHS",
    "STEPS",
    "augmentation_strength",
    "default_epochs",
    "default_recipe",
    "within",
]

STEPS = 1200  # of the full training, in batches, as far as the bounds on the epochs allow
FEWEST_EPOCHS, MOST_EPOCHS = 10, 400

# Of a time limit: what is left for looking at the test pictures, measuring and writing the report.
RESERVE_SECONDS, RESERVE_SHARE = 12.0, 0.04
# Candidates that would see the pictures less often than this leave the contest to faster ones.
FEWEST_IN_TIME = 4
# Parameters for each picture times epochs, at which augmentation begins and is at its full strength.
WEAKEST, STRONGEST = 5.0, 500.0
# From so many training pictures on, batches are twice as large: faster, and steps enough are left.
MANY_PICTURES = 20_000
_MEASURED_SECONDS = 2.0

DEFAULT = "default"  # name of `small` as it is fitted to network and pictures


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


def within(
    seconds: float, plan: Plan, runner: Runner, workers: int, watch: Watch, most: int | None = None
) -> Plan:
    """The plan with as many epochs for each trial as fit into the time; those that are too slow leave it.

    All trials get the same time, so that slower ones get fewer epochs: what is compared is what each makes
    of the time. The speeds are measured now, by as many trials at the same time as will train together.
    most     epochs, whatever the time; default: MOST_EPOCHS of the default recipe, of others their own
    Raises   SmidgenError where the time is too short for any, TrainingError where none can be trained.
    """
    clock = Clock()
    lesson = 0.0
    if plan.teacher is not None:
        # Its answers to all views are predictions, a third of the work of an epoch each; of every size anew.
        sizes = len({trial.network.input for trial in plan.trials if trial.teacher})
        epochs = plan.teacher.recipe.epochs + sizes * VIEWS / 3
        lesson = epochs * runner.epoch_seconds(plan.teacher, _MEASURED_SECONDS)
    with watch.progress("measuring speeds") as report, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(runner.epoch_seconds, trial, _MEASURED_SECONDS) for trial in plan.trials]
        trials, speeds, failed = [], [], []
        for done, (trial, future) in enumerate(zip(plan.trials, futures, strict=True), 1):
            try:
                speeds.append(future.result())
                trials.append(trial)
            except TrainingError as error:
                failed.append(f"{trial.network.name} is left out: {error}")
            report(done, len(futures))
    for line in failed:
        watch.say(line)
    if not trials:
        raise TrainingError("no candidate can be trained: " + "; ".join(failed))
    left = seconds * (1 - RESERVE_SHARE) - RESERVE_SECONDS - clock.seconds - lesson
    while trials:
        rungs = rungs_for(len(trials), workers)
        each = left / full_trainings(len(trials), rungs, workers)
        slowest = max(range(len(trials)), key=speeds.__getitem__)
        fewest = FEWEST_IN_TIME if len(trials) > 1 else 1
        if each >= fewest * speeds[slowest]:
            timed = zip(trials, speeds, strict=True)
            fitting = tuple(_for(trial, each / epoch, most, runner.material) for trial, epoch in timed)
            return dataclasses.replace(plan, trials=fitting, rungs=rungs)
        if len(trials) > 1:
            watch.say(
                f"{trials[slowest].network.name} is left out: an epoch takes {shown(speeds[slowest])} s, "
                f"its share of --time is {shown(each)} s for at least {fewest}"
            )
        del trials[slowest], speeds[slowest]
    teacher = f", after {lesson:.0f} s for the teacher (--from-scratch does without)" if lesson else ""
    raise SmidgenError(
        f"the time is too short: an epoch of the fastest candidate does not fit into what is left of it, "
        f"{max(0.0, left):.0f} s{teacher}; give more --time, or fewer pictures"
    )


def _for(trial: Trial, epochs: float, most: int | None, material: Material) -> Trial:
    """The trial with so many epochs, and the augmentation that goes with them."""
    own = MOST_EPOCHS if trial.recipe.name == DEFAULT else trial.recipe.epochs
    count = max(1, min(most or own, math.floor(epochs)))
    shorter = trial.recipe.shortened(count)
    if shorter.name == DEFAULT and not shorter.distillation:
        default = default_recipe(material, trial.network, count)
        shorter = dataclasses.replace(
            shorter, augment=default.augment, label_smoothing=default.label_smoothing
        )
    return dataclasses.replace(trial, recipe=shorter)
