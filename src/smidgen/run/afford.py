"""What the machine's memory allows: batches in parts, smaller ones, fewer trials, fewer of them at a time.

Nothing is tried out: a process that takes too much is killed by the system without a word.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from smidgen.data import memory_limit, pictures_limit
from smidgen.graph import Network
from smidgen.machine import held_memory
from smidgen.run.plan import Plan, Trial, rungs_for
from smidgen.spec import Budget, SmidgenError
from smidgen.train import Material, training_bytes
from smidgen.train.footprint import batch_within, parts_within, splits_exactly
from smidgen.watch import Watch

__all__ = ["HELD", "affordable", "room_for", "sparing"]

HELD = 600 * 10**6  # of a process with torch, where it is not there yet, or the system does not tell
# Weights, gradients, moments and the like of one parameter, in bytes; of a budget that is larger than memory.
_PER_PARAM = 40
_LEAST_ROOM = 150 * 10**6


def room_for(material: Material, trials: Sequence[Trial]) -> int:
    """Bytes for trainings: the limit, less what the process holds and the pictures still to decode."""
    held = held_memory()
    sizes = {trial.network.input for trial in trials} - {material.shape}
    count = len(material.split.train) + len(material.split.val)
    pictures = sum(min(count * size.numel, pictures_limit()) for size in sizes)
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or "1"))  # of torchrun on this machine
    return memory_limit() // processes - (HELD if held is None else held) - pictures


def sparing(budget: Budget, networks: Sequence[Network], material: Material) -> Budget | None:
    """The budget with the limit on parameters that memory sets; None where some of these networks fit.

    networks  the largest inside the budget as it is
    Raises    SmidgenError where memory holds no training at all
    """
    room = room_for(material, [])
    if any(_PER_PARAM * network.cost().params <= room for network in networks):
        return None
    if room < _LEAST_ROOM:
        raise SmidgenError(
            f"{max(0, room) / 1e6:.0f} MB are left of the memory limit of {memory_limit() / 1e6:.0f} MB, "
            f"and a training takes {_LEAST_ROOM / 1e6:.0f} or more; raise SMIDGEN_MEMORY if it is there"
        )
    return budget.replace(params=max(1, room // (2 * _PER_PARAM)))


def affordable(plan: Plan, material: Material, workers: int, watch: Watch) -> tuple[Plan, int]:
    """The plan as it fits into memory, and how many of its trials train at the same time.

    Raises   SmidgenError where nothing fits.
    """
    everybody = [*plan.trials, *([plan.teacher] if plan.teacher else [])]
    room = room_for(material, everybody)
    pictures = len(material.split.train)
    teacher = plan.teacher and _fitted(plan.teacher, room, pictures, watch)
    trials = plan.trials
    if plan.teacher and teacher is None:
        watch.say(f"no teacher: {plan.teacher.network.name} {_too_much(plan.teacher, room)}")
        trials = tuple(trial.untaught() for trial in trials)
    fitting = [one for one in (_fitted(trial, room, pictures, watch) for trial in trials) if one is not None]
    if not fitting:
        smallest = min(trials, key=lambda trial: training_bytes(trial.network, trial.recipe))
        raise SmidgenError(
            f"{smallest.network.name} {_too_much(smallest, room)}; give a smaller budget or --resolution, "
            "or raise SMIDGEN_MEMORY if the memory is there"
        )
    for trial in trials:
        if all(trial.network != one.network for one in fitting):
            watch.say(f"{trial.network.name} is left out: it {_too_much(trial, room)}")
    count = _together(fitting, workers, room)
    if count < workers:
        watch.say(f"{count} at a time instead of {workers}: more would not fit into memory")
    rungs = rungs_for(len(fitting), count)
    return dataclasses.replace(plan, trials=tuple(fitting), rungs=rungs, teacher=teacher), count


def _together(trials: Sequence[Trial], workers: int, room: int) -> int:
    """Trials that may train at the same time, should they be the largest."""
    largest = sorted((training_bytes(trial.network, trial.recipe) for trial in trials), reverse=True)
    return next(count for count in range(workers, 0, -1) if count == 1 or sum(largest[:count]) <= room)


def _fitted(trial: Trial, room: int, pictures: int, watch: Watch) -> Trial | None:
    """The trial with a recipe that fits, said where its batches change; None where nothing does."""
    network, plan = trial.network, trial.recipe
    whole = min(plan.batch_size, pictures)  # no batch is larger than all there are
    if splits_exactly(network, plan):
        parts = parts_within(network, whole, room)
        if parts is None:
            return None
        if parts > (parts_within(network, whole) or 1):
            watch.say(f"{network.name} works on each batch in {parts} parts, with the same result: memory")
        return dataclasses.replace(trial, recipe=dataclasses.replace(plan, parts=parts))
    batch = batch_within(network, room, whole)
    if batch is None:
        return None
    if batch == whole:
        return trial
    watch.say(f"{network.name} learns from batches of {batch} instead of {whole}: memory")
    return dataclasses.replace(trial, recipe=dataclasses.replace(plan, batch_size=batch))


def _too_much(trial: Trial, room: int) -> str:
    least = dataclasses.replace(trial.recipe, batch_size=8, parts=1)
    return (
        f"takes at least {training_bytes(trial.network, least) / 1e9:.1f} GB of memory to train, "
        f"of {max(0, room) / 1e9:.1f} GB that are left of the limit of {memory_limit() / 1e9:.1f} GB"
    )
