"""The main job: from data and a budget to a trained network and its evidence."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from smidgen import report
from smidgen.data import class_counts, memory_limit, unbalanced_news
from smidgen.data.places import place_for
from smidgen.graph import Network
from smidgen.machine import cores, machine_name, peak_memory
from smidgen.report import Report
from smidgen.run import forecast, record
from smidgen.run.afford import affordable, sparing
from smidgen.run.contest import Outcome, contest
from smidgen.run.job import Job
from smidgen.run.plan import ETA, SCRATCH, Plan, Target, Trial, rungs_for
from smidgen.run.propose import propose
from smidgen.run.record import Record
from smidgen.run.runner import LESSONS, Runner
from smidgen.run.schedule import default_recipe, foreseen, within
from smidgen.run.starts import published_trials, taught, teacher_trial, tuned
from smidgen.scaling.compound import family_named
from smidgen.scaling.device import Device
from smidgen.scaling.measure import device_for, known
from smidgen.spec import Budget, SmidgenError, StoppedError, about, counted
from smidgen.train import checkpoint
from smidgen.train.checkpoint import CheckpointError
from smidgen.train.clock import Clock
from smidgen.train.errors import Interrupted
from smidgen.train.evidence import write_run
from smidgen.train.material import Material, prepare
from smidgen.train.metrics import Row, write_rows
from smidgen.train.parallel import ALONE, World, world
from smidgen.train.recipe import Recipe
from smidgen.train.runfolder import new_run_folder, require_free
from smidgen.train.threads import threads_here, threads_worth
from smidgen.watch import Watch
from smidgen.weights import Published

__all__ = ["Fitted", "fit", "resume", "train_one"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out.

    seconds  by stage of the training, all candidates together
    """

    folder: Path
    network: Network
    report: Report
    seconds: dict[str, float]


def fit(job: Job, budget: Budget, watch: Watch, families: tuple[str, ...] = ()) -> Fitted:
    """Check the data, let candidates of every family compete inside the budget, train the best to the end.

    families  those that compete; default: all
    Raises    DataError, BudgetError, SmidgenError on a user's mistakes, before anything is written;
              StoppedError where somebody asked to stop: `resume` goes on.
    """
    families = tuple(dict.fromkeys(families))
    for family in families:
        family_named(family)
    clock = Clock()
    material = _prepared(job, watch)
    device = _target(job, budget, watch)
    networks = _proposed(job, material, budget, watch, families, device)
    trials = [_default(network, material, job) for network in networks]
    teacher = None
    if not job.from_scratch:
        started = [
            _as_asked(trial, job)
            for trial in published_trials(material, budget, families, device, job.resolution)
            if job.dropped_strides in (None, trial.network.dropped_strides)
        ]
        teacher = None if started else teacher_trial(material, watch, len({one.input for one in networks}))
        if teacher:
            tuning = dataclasses.replace(teacher.recipe, class_weights=job.class_weights)
            teacher = dataclasses.replace(teacher, recipe=tuning)
            trials = [taught(trial, teacher) for trial in trials]
        trials = started + trials
    workers = _workers(job, trials)
    if device:
        trials = [
            dataclasses.replace(trial, predicted_ms=device.predicted_ms(trial.network)) for trial in trials
        ]
    target = Target(str(device), device.here, device.error, device.threads) if device else None
    plan = Plan(tuple(trials), rungs_for(len(trials), workers), teacher, target)
    return _begun(job, budget, plan, material, workers, clock, watch)


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
    if _trains_on(job) == "cpu" and (spared := sparing(budget, networks, material)):
        watch.say(f"memory sets a limit too: {spared.params:,} parameters")
        networks = inside(spared)
    return networks


def train_one(
    job: Job,
    network: Callable[[Material], Network] | Published,
    plan: Recipe | None,
    watch: Watch,
) -> Fitted:
    """Train one network on the data and write its run folder; under torchrun, in all its processes together.

    network  makes the network for the prepared data; or the published weights to start from
    plan     recipe; default: as `fit` trains its winner, or tunes published weights
    Raises   as `fit`
    """
    clock = Clock()
    with world(_trains_on(job)) as processes:
        if not processes.leads:
            return _following(job, processes, watch)
        material = _prepared(job, watch)
        if isinstance(network, Published):
            trial = tuned(network, material, job.resolution)
        else:
            trial = _default(material.fitted(network(material)), material, job)
        trial = dataclasses.replace(trial, recipe=plan or trial.recipe)
        only = Plan((_as_asked(trial, job),), rungs_for(1, 1))
        return _begun(job, None, only, material, 1, clock, watch, processes)


def resume(folder: Path, watch: Watch) -> Fitted:
    """Go on with a run that was stopped or killed, as if it had not been.

    Raises   SmidgenError where the folder holds no run, a finished one, or one that another process
             trains; where the data have changed since.
    """
    kept = record.read(folder)
    if (folder / "report.json").exists():
        _tidy(folder)  # it may have been killed while it did so itself
        raise SmidgenError(f"{folder}: this run is finished; its report is {folder / 'report.html'}")
    with world(_trains_on(kept.job)) as processes:
        if processes.size > 1 and (len(kept.plan.trials) > 1 or kept.plan.teacher):
            raise SmidgenError(f"{folder}: a contest runs in one process; torchrun is for `smidgen train`")
        if not processes.leads:
            return _following(dataclasses.replace(kept.job, out=folder), processes, watch)
        with record.locked(folder):
            watch.heading(f"going on with {folder}")
            material = _prepared(dataclasses.replace(kept.job, out=folder), watch, again=True)
            if material.arrangement != kept.arrangement:
                raise SmidgenError(
                    f"{kept.job.data} has changed since {folder} was begun, in pictures, names or parts; "
                    "fit anew"
                )
            again = record.taken_up(kept, _now())
            record.write(folder, again)
            return _run(folder, again, material, watch, processes)


def _begun(
    job: Job,
    budget: Budget | None,
    plan: Plan,
    material: Material,
    workers: int,
    clock: Clock,
    watch: Watch,
    processes: World = ALONE,
) -> Fitted:
    """Create the run folder, decide and record what will be done, and do it."""
    base = _base(job, material.dataset.name)
    threads = threads_here()
    if _trains_on(job) == "cpu":
        plan, workers = affordable(plan, material, workers, watch)
    measuring = _runner(base, job, plan, material, threads, workers)  # which writes nothing
    if job.time_limit is not None:
        plan = within(job.time_limit, clock, plan, measuring, workers, watch, most=job.epochs)
    else:
        plan = foreseen(plan, measuring, workers, watch)
    _tell_time(plan, workers, job.time_limit, watch)
    with new_run_folder(job.out, base) as folder, record.locked(folder):
        begun = Record(job, budget, plan, material.arrangement, workers, threads, (_now(),))
        record.write(folder, begun)
        return _run(folder, begun, material, watch, processes)


def _tell_time(plan: Plan, workers: int, limit: float | None, watch: Watch) -> None:
    """Say how long the training will take, before it begins."""
    seconds = forecast.whole(plan, workers)
    takes = "some seconds" if seconds is None else f"about {about(seconds)}"
    bound = f" of the {about(limit)} that --time gives" if limit else ""
    watch.say(f"training will take {takes}{bound}")


def _following(job: Job, processes: World, watch: Watch) -> Fitted:
    """The part of a process that is not the first: it does what the first one's record says, and waits."""
    material = _prepared(job, Watch(), again=True)
    folder = Path(processes.agree(""))
    kept = record.read(folder)
    runner = _runner(folder, kept.job, kept.plan, material, kept.threads, kept.workers, processes)
    try:
        outcome = contest(kept.plan, runner, kept.workers, watch)
    except Interrupted as stop:
        raise StoppedError(str(stop)) from None
    processes.agree("")
    best = kept.plan.trials[outcome.best].network
    return Fitted(folder, best, report.read(folder / "report.json"), dict(runner.timer.seconds))


def _run(folder: Path, kept: Record, material: Material, watch: Watch, processes: World) -> Fitted:
    """Train what the record says, from wherever it stands, and write the evidence.

    Raises   StoppedError where somebody asked to stop, KeyboardInterrupt where nothing waited for it; both
             say how to go on.
    """
    processes.agree(str(folder))
    goes_on = f"`smidgen resume {shlex.quote(str(folder))}` goes on from there"
    try:
        return _done(folder, kept, material, watch, processes)
    except Interrupted as stop:
        raise StoppedError(f"{stop}; {goes_on}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{error} (`smidgen resume {shlex.quote(str(folder))}`)") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {goes_on}") from None


def _done(folder: Path, kept: Record, material: Material, watch: Watch, processes: World) -> Fitted:
    """The contest, and the evidence of its winner."""
    job, plan = kept.job, kept.plan
    runner = _runner(folder, job, plan, material, kept.threads, kept.workers, processes)
    material.pixels("val", watch, plan.trials[0].network)  # here it can be watched
    outcome = contest(plan, runner, kept.workers, watch)
    best, rows = plan.trials[outcome.best], outcome.rows[outcome.best]
    _warn_of_chance(rows[-1], material, watch)
    watch.heading("looking at the test pictures, measuring, writing the report")
    model = runner.finished(outcome.best)
    write_rows(folder / "metrics.csv", rows)
    document = write_run(
        folder,
        best.network,
        model,
        material,
        rows,
        best.recipe,
        budget=kept.budget,
        candidates=_candidates(plan, outcome),
        contest=_contest(plan, outcome),
        command=job.command,
        time_limit=job.time_limit,
        starts=kept.starts,
        trained={
            "device": runner.device,
            "workers": kept.workers,
            "processes": processes.size,
            "threads": runner.threads_of(best),
            "memory_peak_bytes": peak_memory(),
            "memory_limit_bytes": memory_limit(),
        },
        starting_point=_starting_point(best, plan, outcome),
        predicted=_predicted(best, plan),
        watch=watch,
    )
    _tidy(folder)
    processes.agree("")
    return Fitted(folder, best.network, document, dict(runner.timer.seconds))


def _tidy(folder: Path) -> None:
    """Remove the checkpoints and lessons of a run that is finished: there is nothing to take up."""
    for place in (*folder.glob("**/checkpoints"), *folder.glob(f"**/{LESSONS}")):
        checkpoint.remove(place)


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


def _prepared(job: Job, watch: Watch, again: bool = False) -> Material:
    """Material of the job, after everything that would make the work useless was ruled out.

    again   whether its run folder is there already
    """
    if not again:
        require_free(job.out, _base(job, "data"), job.data)
    material = prepare(
        job.data,
        resolution=job.resolution,
        seed=job.seed,
        skip_bad=job.skip_bad,
        group_by=job.group_by,
        scratch=_scratch(job),
        watch=watch,
    )
    _describe(material, job.class_weights, watch)
    return material


def _base(job: Job, name: str) -> Path:
    """BASE of the run folders BASE-1, BASE-2, …, outside the data."""
    return place_for(job.base or Path("runs", name), job.data)


def _scratch(job: Job) -> Path:
    """The folder for decoded pictures that memory does not hold: the nearest to the run that exists."""
    wanted = (job.out or _base(job, "data")).absolute()
    return next(parent for parent in wanted.parents if parent.is_dir())


def _as_asked(trial: Trial, job: Job) -> Trial:
    """The trial with the job's epochs, class weights and learning rate."""
    plan = trial.recipe.shortened(job.epochs or trial.recipe.epochs)
    plan = dataclasses.replace(
        plan, class_weights=job.class_weights, learning_rate=job.learning_rate or plan.learning_rate
    )
    return dataclasses.replace(trial, recipe=plan)


def _default(network: Network, material: Material, job: Job) -> Trial:
    """The trial of a network from scratch, with the default recipe."""
    return _as_asked(Trial(network, default_recipe(material, network, job.epochs)), job)


def _runner(
    folder: Path,
    job: Job,
    plan: Plan,
    material: Material,
    threads: int,
    workers: int,
    processes: World = ALONE,
) -> Runner:
    return Runner(
        folder,
        plan,
        material,
        seed=job.seed,
        every=job.every,
        threads=job.threads,
        all_threads=threads,
        device=_trains_on(job),
        world=processes,
        workers=workers,
    )


def _trains_on(job: Job) -> str:
    if job.train_on == "cuda" and not torch.cuda.is_available():
        raise SmidgenError("torch sees no CUDA device here; --train-on cpu trains on the processor")
    return job.train_on or ("cuda" if torch.cuda.is_available() else "cpu")


def _workers(job: Job, trials: Sequence[Trial]) -> int:
    """Candidates to train at the same time: one a processor where each uses one thread, else one."""
    if job.workers is not None:
        return min(job.workers, len(trials))
    if _trains_on(job) != "cpu":
        return 1
    largest = max(trial.recipe.batch_size * trial.network.cost().macs for trial in trials)
    threads = job.threads or threads_worth(largest, threads_here())
    return max(1, min(len(trials), cores() // threads))


def _contest(plan: Plan, outcome: Outcome) -> dict[str, Any] | None:
    """The contest, for the report, where there was one."""
    if len(plan.trials) == 1:
        return None
    notes = [f"{plan.trials[number].network.name}: {why}" for number, why in outcome.failed.items()]
    if plan.balanced:
        notes.insert(0, "compared by balanced accuracy, since the classes count alike")
    return {"eta": ETA, "rungs": list(outcome.rungs), "note": "; ".join(notes) or None}


def _candidates(plan: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """A row of the report for every trial."""
    result = []
    for number, (trial, rows) in enumerate(zip(plan.trials, outcome.rows, strict=True)):
        at_rungs = [trial.epochs_at(rung.share) for rung in plan.rungs]
        result.append(
            {
                "name": trial.network.name,
                "family": trial.network.family,
                **trial.costs(),
                "val_accuracy": plan.score(rows[-1]) if rows else None,
                "epochs": len(rows),
                "seconds": round(rows[-1].seconds, 2) if rows else None,
                "chosen": number == outcome.best,
                "rungs": [
                    {"epochs": epoch, "val_accuracy": plan.score(row), "seconds": round(row.seconds, 2)}
                    for epoch, row in ((epoch, rows[epoch - 1]) for epoch in at_rungs if epoch <= len(rows))
                ],
            }
        )
    return result


def _starting_point(best: Trial, plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """What the winner's training began with, for the report."""
    if best.teacher and plan.teacher and outcome.taught_by:
        cost = plan.teacher.network.cost()
        known = {"name": best.teacher, "params": cost.params, "val_accuracy": outcome.taught_by.val_accuracy}
        return {"kind": "teacher", "weights": None, "teacher": known}
    if best.start != SCRATCH:
        return {"kind": "weights", "weights": f"{best.network.name}, {best.start}", "teacher": None}
    return {"kind": "scratch", "weights": None, "teacher": None}


def _predicted(best: Trial, plan: Plan) -> dict[str, Any] | None:
    """The winner's milliseconds on the device that it is meant for, for the report."""
    device = plan.device
    if device is None:
        return None
    # A run may be taken up on another machine than it was begun on.
    here = device.here and device.name.startswith(f"{machine_name()}, ")
    return {**device._asdict(), "here": here, "value": best.predicted_ms, "device": device.name}


def _warn_of_chance(last: Row, material: Material, watch: Watch) -> None:
    """Say so where the network does no better than guessing, as far as the validation pictures tell."""
    counts = Counter(material.dataset.pictures[index].label for index in material.split.val)
    n, right = counts.total(), last.val_balanced_accuracy
    worth = report.Standing(
        accuracy=last.val_accuracy,
        balanced=right,
        interval=report.wilson(round(right * n), n),
        commonest=max(counts.values()) / n,
        present=len(counts),
        classes=len(material.dataset.classes),
    )
    if worth.at_chance:
        watch.say(f"no better than chance. {report.advice(material.resolution)}")
    watch.say(f"validation {100 * last.val_accuracy:.1f} % after {counted(last.epoch, 'epoch')}")


def _describe(material: Material, weighted: bool, watch: Watch) -> None:
    dataset, parts = material.dataset, material.split
    watch.heading(f"{dataset.name}: {len(dataset.pictures):,} pictures, {len(dataset.classes)} classes")
    colour = "grey" if material.channels == 1 else "colour"
    sizes = f"{len(parts.train):,} to train, {len(parts.val):,} to validate"
    watch.say(f"{sizes}, {len(parts.test):,} to test once at the end")
    watch.say(
        f"networks see {material.resolution}x{material.resolution} pixels, {colour}; --resolution changes it"
    )
    for line in _absent(material):
        watch.say(line)
    counts = class_counts(dataset, material.survey)
    if unbalanced := unbalanced_news(counts, weighted=weighted):
        watch.say(unbalanced)


def _absent(material: Material) -> Iterator[str]:
    """A line for each part that lacks a class which there is to train on."""
    dataset, parts = material.dataset, material.split
    for part, indices in (("val", parts.val), ("test", parts.test)):
        found = {dataset.pictures[index].label for index in indices}
        absent = [name for label, name in enumerate(dataset.classes) if label not in found]
        if absent:
            names = ", ".join(absent[:5]) + (f" and {len(absent) - 5:,} more" if len(absent) > 5 else "")
            yield f"no picture of {names} in {part}: its accuracy will not tell of {names}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
