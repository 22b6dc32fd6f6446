"""Who competes: from a job and a budget to the trials of a plan."""

from __future__ import annotations

import dataclasses

from smidgen.graph import Network
from smidgen.run.afford import sparing
from smidgen.run.entrance import entrance
from smidgen.run.job import Job
from smidgen.run.plan import Destination, Plan, Trial, rungs_for
from smidgen.run.propose import propose
from smidgen.run.schedule import default_recipe
from smidgen.run.session import trains_on, workers_for
from smidgen.run.starts import cut_trials, news_of_weights, published_trials, taught, teacher_trial
from smidgen.scaling.device import Device
from smidgen.scaling.measure import device_for, known
from smidgen.spec import Budget, BudgetError, SmidgenError
from smidgen.train import Material
from smidgen.watch import Watch

__all__ = ["as_asked", "default_trial", "lineup"]


def lineup(
    job: Job, budget: Budget, families: tuple[str, ...], material: Material, watch: Watch
) -> tuple[Plan, int]:
    """The plan of a contest, and how many of its trials train at the same time.

    families  those that compete; none: all
    Raises    BudgetError where nothing fits, neither from scratch nor cut from published networks
    """
    device = _target(job, budget, watch)
    started = _started(job, budget, families, material, device, watch)
    networks: list[Network] = []
    try:
        networks = _proposed(job, material, budget, watch, families, device)
    except BudgetError as refusal:
        if not started:
            raise
        watch.say(f"from scratch, {refusal}")
    able = entrance(started, [default_trial(one, material, job) for one in networks], material, job, watch)
    teacher = None if started or job.from_scratch else _teacher(job, material, networks, watch)
    trials = [*able.started, *(taught(trial, teacher) if teacher else trial for trial in able.new)]
    workers = workers_for(job, trials)
    if device:
        trials = [
            dataclasses.replace(trial, predicted_ms=device.predicted_ms(trial.network)) for trial in trials
        ]
    target = Destination(str(device), device.here, device.error, device.threads) if device else None
    return Plan(tuple(trials), rungs_for(len(trials), workers), teacher, target), workers


def _started(
    job: Job,
    budget: Budget,
    families: tuple[str, ...],
    material: Material,
    device: Device | None,
    watch: Watch,
) -> list[Trial]:
    """Trials from published weights that obey the budget, whole networks and cut ones."""
    if job.from_scratch:
        return []
    if line := news_of_weights(families, job.download, watch):
        watch.say(line)
    found = [
        *published_trials(material, budget, families, device, job.resolution),
        *cut_trials(material, budget, families, device, job.resolution),
    ]
    return [
        as_asked(trial, job)
        for trial in found
        if job.dropped_strides in (None, trial.network.dropped_strides)
    ]


def _teacher(job: Job, material: Material, networks: list[Network], watch: Watch) -> Trial | None:
    """The network that teaches them, which lets classes count as the job does; None where none would do."""
    teacher = teacher_trial(material, watch, len({network.input for network in networks}))
    if teacher is None:
        return None
    tuning = dataclasses.replace(teacher.recipe, class_weights=job.class_weights)
    return dataclasses.replace(teacher, recipe=tuning)


def as_asked(trial: Trial, job: Job) -> Trial:
    """The trial with the job's epochs, class weights and learning rate."""
    plan = trial.recipe.shortened(job.epochs or trial.recipe.epochs)
    plan = dataclasses.replace(
        plan, class_weights=job.class_weights, learning_rate=job.learning_rate or plan.learning_rate
    )
    if job.no_flip:
        plan = dataclasses.replace(plan, augment=dataclasses.replace(plan.augment, flip=False))
    return dataclasses.replace(trial, recipe=plan)


def default_trial(network: Network, material: Material, job: Job) -> Trial:
    """The trial of a network from scratch, with the default recipe."""
    return as_asked(Trial(network, default_recipe(material, network, job.epochs)), job)


def _target(job: Job, budget: Budget, watch: Watch) -> Device | None:
    """The device whose milliseconds matter: the one asked for, or this machine where time is limited."""
    if job.device is None and not budget.needs_device:
        return None
    if job.device is None and job.time_limit is not None and known() is None:
        raise SmidgenError(
            "this machine's milliseconds are not known yet; `smidgen info --measure` finds them out, once, "
            "in some minutes that --time does not have"
        )
    watch.heading("milliseconds of the device")
    device = device_for(job.device, watch)
    watch.say(f"{device}; nine of ten predictions are off by at most {100 * device.error:.0f} %")
    if doubt := device.doubt():
        watch.say(doubt)
    return device


def _proposed(
    job: Job,
    material: Material,
    budget: Budget,
    watch: Watch,
    families: tuple[str, ...],
    device: Device | None,
) -> list[Network]:
    """Candidates for these pictures; where memory holds none of the largest, those that it does."""

    def inside(limits: Budget) -> list[Network]:
        shrink = job.resolution is None
        solutions = propose(material, limits, watch, families, device, shrink, job.dropped_strides)
        return [material.fitted(solution.network) for solution in solutions]

    networks = inside(budget)
    if trains_on(job) == "cpu" and (spared := sparing(budget, networks, material)):
        watch.say(f"memory sets a limit too: {spared.params:,} parameters")
        networks = inside(spared)
    return networks
