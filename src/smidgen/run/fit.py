"""The main job: from data and a budget to a trained network and its evidence."""

from __future__ import annotations

import dataclasses
import datetime
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen import report
from smidgen.data import memory_limit, place_for, require_place
from smidgen.graph import Network
from smidgen.machine import peak_memory
from smidgen.report import Report
from smidgen.run import forecast, record
from smidgen.run.afford import affordable
from smidgen.run.contest import contest
from smidgen.run.evidence import Winner, write_run
from smidgen.run.heads import delivered
from smidgen.run.job import Job
from smidgen.run.lineup import as_asked, default_trial, lineup
from smidgen.run.plan import Plan, Trial, rungs_for
from smidgen.run.record import Record
from smidgen.run.remarks import describe, warn_of_chance
from smidgen.run.runner import LESSONS, Runner
from smidgen.run.schedule import Deadline, foreseen, unasked_seconds, within
from smidgen.run.session import Session, trains_on
from smidgen.run.starts import tuned
from smidgen.scaling.compound import family_named
from smidgen.spec import Budget, SmidgenError, StoppedError, about
from smidgen.train import (
    CheckpointError,
    Interrupted,
    Material,
    Reading,
    Recipe,
    Stopwatch,
    World,
    checkpoint,
    new_run_folder,
    prepare,
    world,
    write_rows,
)
from smidgen.train.parallel import ALONE
from smidgen.train.threads import threads_here
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
    clock = Stopwatch()
    material = _prepared(job, watch)
    plan, workers = lineup(job, budget, families, material, watch)
    return _begun(_asked(job, budget, plan, material, workers), material, clock, watch)


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
    clock = Stopwatch()
    with world(trains_on(job)) as processes:
        if not processes.leads:
            return _following(job, processes, watch)
        material = _prepared(job, watch)
        if isinstance(network, Published):
            trial = tuned(network, material, job.resolution)
        else:
            trial = default_trial(material.fitted(network(material)), material, job)
        trial = dataclasses.replace(trial, recipe=plan or trial.recipe)
        only = Plan((as_asked(trial, job),), rungs_for(1, 1))
        return _begun(_asked(job, None, only, material, 1), material, clock, watch, processes)


def resume(folder: Path, watch: Watch) -> Fitted:
    """Go on with a run that was stopped or killed, as if it had not been.

    Raises   SmidgenError where the folder holds no run, a finished one, or one that another process
             trains; where the data have changed since.
    """
    kept = record.read(folder)
    if (folder / "report.json").exists():
        _tidy(folder)  # it may have been killed while it did so itself
        raise SmidgenError(f"{folder}: this run is finished; its report is {folder / 'report.html'}")
    with world(trains_on(kept.job)) as processes:
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


def _asked(job: Job, budget: Budget | None, plan: Plan, material: Material, workers: int) -> Record:
    """The record of a run that is not begun yet."""
    return Record(job, budget, plan, material.arrangement, workers, threads_here(), starts=())


def _begun(
    asked: Record, material: Material, clock: Stopwatch, watch: Watch, processes: World = ALONE
) -> Fitted:
    """Create the run folder, decide and record what will be done, and do it."""
    job, base = asked.job, _base(asked.job, material.dataset.name)
    if trains_on(job) == "cpu":
        plan, workers = affordable(asked.plan, material, asked.workers, watch)
        asked = dataclasses.replace(asked, plan=plan, workers=workers)
    asked = dataclasses.replace(asked, plan=_timed(asked, base, material, clock, watch))
    _tell_time(asked, watch)
    with new_run_folder(job.out, base) as folder, record.locked(folder):
        begun = record.taken_up(asked, _now())
        record.write(folder, begun)
        return _run(folder, begun, material, watch, processes)


def _timed(asked: Record, base: Path, material: Material, clock: Stopwatch, watch: Watch) -> Plan:
    """The plan with as many epochs as the time allows, or with what is foreseen where none is set."""
    job, measuring = asked.job, _runner(base, asked, material)  # which writes nothing
    if job.time_limit is not None:
        deadline = Deadline(job.time_limit, clock)
        return within(deadline, asked.plan, measuring, asked.workers, watch, most=job.epochs)
    plan = foreseen(asked.plan, measuring, asked.workers, watch)
    takes, unasked = forecast.whole(plan, asked.workers), unasked_seconds(material)
    if asked.budget is None or job.epochs or takes is None or clock.seconds + takes <= unasked:
        return plan
    watch.say(
        f"without --time the whole takes {about(unasked)}; what is foreseen would take {about(takes)}, "
        f"so --time {math.ceil(1.1 * (clock.seconds + takes) / 60)}m may bring more"
    )
    try:
        return within(Deadline(unasked, clock), plan, measuring, asked.workers, watch)
    except SmidgenError:
        watch.say("that is too short for any of them, so it is not kept")
        return plan


def _tell_time(asked: Record, watch: Watch) -> None:
    """Say how long the training will take, before it begins."""
    seconds, limit = forecast.whole(asked.plan, asked.workers), asked.job.time_limit
    takes = "some seconds" if seconds is None else f"about {about(seconds)}"
    bound = f" of the {about(limit)} that --time gives" if limit else ""
    watch.say(f"training will take {takes}{bound}")


def _following(job: Job, processes: World, watch: Watch) -> Fitted:
    """The part of a process that is not the first: it does what the first one's record says, and waits."""
    material = _prepared(job, Watch(), again=True)
    folder = Path(processes.agree(""))
    kept = record.read(folder)
    runner = _runner(folder, kept, material, processes)
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
    plan, runner = kept.plan, _runner(folder, kept, material, processes)
    material.pixels("val", watch, plan.trials[0].network)  # here it can be watched
    outcome = contest(plan, runner, kept.workers, watch)
    outcome, model = delivered(plan, runner, outcome, watch)
    best, rows = plan.trials[outcome.best], outcome.rows[outcome.best]
    warn_of_chance(outcome.last, material, watch)
    watch.heading("looking at the test pictures, measuring, writing the report")
    winner = Winner(outcome, model, _trained(runner, best))
    write_rows(folder / "metrics.csv", rows)
    document = write_run(folder, kept, material, winner, watch)
    _tidy(folder)
    processes.agree("")
    return Fitted(folder, best.network, document, dict(runner.timer.seconds))


def _trained(runner: Runner, best: Trial) -> dict[str, Any]:
    """What the winner was trained with, for the report."""
    session = runner.session
    return {
        "device": session.device,
        "workers": session.workers,
        "processes": session.world.size,
        "threads": runner.threads_of(best),
        "memory_peak_bytes": peak_memory(),
        "memory_limit_bytes": memory_limit(),
    }


def _runner(folder: Path, kept: Record, material: Material, processes: World = ALONE) -> Runner:
    job = kept.job
    session = Session(
        seed=job.seed,
        every=job.every,
        threads=job.threads,
        all_threads=kept.threads,
        device=trains_on(job),
        world=processes,
        workers=kept.workers,
    )
    return Runner(folder, kept.plan, material, session)


def _tidy(folder: Path) -> None:
    """Remove the checkpoints and lessons of a run that is finished: there is nothing to take up."""
    for place in (*folder.glob("**/checkpoints"), *folder.glob(f"**/{LESSONS}")):
        checkpoint.remove(place)


def _prepared(job: Job, watch: Watch, again: bool = False) -> Material:
    """Material of the job, after everything that would make the work useless was ruled out.

    again   whether its run folder is there already
    """
    if not again:
        require_place(job.out, _base(job, "data"), job.data)
    material = prepare(
        job.data,
        resolution=job.resolution,
        aspect=job.aspect,
        seed=job.seed,
        reading=Reading(job.skip_bad, job.group_by),
        scratch=_scratch(job),
        watch=watch,
    )
    describe(material, job.class_weights, watch)
    return material


def _base(job: Job, name: str) -> Path:
    """BASE of the run folders BASE-1, BASE-2, …, outside the data."""
    return place_for(job.base or Path("runs", name), job.data)


def _scratch(job: Job) -> Path:
    """The folder for decoded pictures that memory does not hold: the nearest to the run that exists."""
    wanted = (job.out or _base(job, "data")).absolute()
    return next(parent for parent in wanted.parents if parent.is_dir())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
