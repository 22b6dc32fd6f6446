"""The main job: from data and a budget to a trained network and its evidence."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smidgen.graph import Network
from smidgen.modules import NetworkModule, create
from smidgen.report import Report
from smidgen.scaling.compound import family_named
from smidgen.search.propose import propose
from smidgen.spec import Budget
from smidgen.train.evidence import write_run
from smidgen.train.loop import History, train
from smidgen.train.material import Material, prepare
from smidgen.train.metrics import Row, append_row
from smidgen.train.pixels import Pixels
from smidgen.train.recipe import Recipe, recipe
from smidgen.train.runfolder import new_run_folder, require_free
from smidgen.train.threads import sharing
from smidgen.train.watch import Watch

__all__ = ["Fitted", "Job", "fit", "train_one"]

SHORT = 0.2  # share of the epochs that candidates are compared after
FEWEST_SHORT = 3
STEPS = 1200  # of the full training, in batches, as far as the bounds on the epochs allow
FEWEST_EPOCHS, MOST_EPOCHS = 10, 400


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for.

    epochs   of the full training; default: as many as make about STEPS steps
    threads  of the processor; default: one where steps are too small to share, else torch's choice
    out      run folder to create
    base     without `out`, the first free of BASE-1, BASE-2, … is created; default: runs/ and the data's name
    """

    data: str
    resolution: int | None = None
    seed: int = 0
    epochs: int | None = None
    skip_bad: bool = False
    out: Path | None = None
    base: Path | None = None
    threads: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out."""

    folder: Path
    network: Network
    report: Report


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Decoded pictures of the two parts that training may see."""

    train: Pixels
    val: Pixels


@dataclass(slots=True)
class _Trial:
    network: Network
    history: History
    seconds: float

    def row(self, chosen: bool) -> dict[str, Any]:
        cost = self.network.cost()
        return {
            "name": self.network.name,
            "family": self.network.family,
            "params": cost.params,
            "macs": cost.macs,
            "peak_bytes": cost.peak_bytes,
            "val_accuracy": self.history.last.val_accuracy,
            "epochs": len(self.history.rows),
            "seconds": round(self.seconds, 2),
            "chosen": chosen,
        }


def fit(job: Job, budget: Budget, watch: Watch, families: tuple[str, ...] = ()) -> Fitted:
    """Check the data, let one candidate of every family compete inside the budget, train the best fully.

    families  those that compete; default: all
    Raises    DataError, BudgetError, SmidgenError on a user's mistakes, before anything is written.
    """
    families = tuple(dict.fromkeys(families))
    for family in families:
        family_named(family)
    material = _prepared(job, watch)
    networks = [material.fitted(solution.network) for solution in propose(material, budget, watch, families)]
    plan = _plan(job, material)
    pictures = _Pictures(material.pixels("train", watch), material.pixels("val", watch))
    with new_run_folder(job.out, job.base or Path("runs", material.dataset.name)) as folder:
        best, candidates = _contest(networks, plan, pictures, job, watch)
        return _full(folder, best, plan, pictures, material, job, budget, candidates, watch)


def train_one(job: Job, network: Callable[[Material], Network], plan: Recipe | None, watch: Watch) -> Fitted:
    """Train one network on the data and write its run folder.

    network   makes the network for the prepared data
    plan      recipe; default: as `fit` trains its winner
    """
    material = _prepared(job, watch)
    wanted = material.fitted(network(material))
    chosen = _plan(job, material) if plan is None else plan.shortened(job.epochs or plan.epochs)
    pictures = _Pictures(material.pixels("train", watch), material.pixels("val", watch))
    with new_run_folder(job.out, job.base or Path("runs", material.dataset.name)) as folder:
        return _full(folder, wanted, chosen, pictures, material, job, None, [], watch)


def _prepared(job: Job, watch: Watch) -> Material:
    """Material of the job, after everything that would make the work useless was ruled out."""
    require_free(job.out)
    material = prepare(job.data, resolution=job.resolution, seed=job.seed, skip_bad=job.skip_bad, watch=watch)
    _describe(material, watch)
    return material


def _plan(job: Job, material: Material) -> Recipe:
    base = recipe("small")
    steps_per_epoch = math.ceil(len(material.split.train) / base.batch_size)
    epochs = job.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(STEPS / steps_per_epoch)))
    return base.shortened(epochs)


def _contest(
    networks: list[Network], plan: Recipe, pictures: _Pictures, job: Job, watch: Watch
) -> tuple[Network, list[dict[str, Any]]]:
    """Short training of every candidate; the best on validation, and a row for each."""
    short = plan.shortened(min(plan.epochs, max(FEWEST_SHORT, round(SHORT * plan.epochs))))
    watch.heading(f"{_counted(len(networks), 'candidate')}, {_counted(short.epochs, 'epoch')} each")
    trials = []
    for network in networks:
        started = time.perf_counter()
        with watch.progress(network.name) as report, _threads(network, short, job):
            _, history = _trained(network, short, pictures, job.seed, on_step=report)
        trials.append(_Trial(network, history, time.perf_counter() - started))
        cost = network.cost()
        last = history.last
        watch.say(
            f"{network.name:<28} {cost.params:>9,} params {cost.macs:>12,} MACs   "
            f"validation {100 * last.val_accuracy:.1f} %"
        )
    best = max(trials, key=lambda trial: (trial.history.last.val_accuracy, -trial.history.last.val_loss))
    return best.network, [trial.row(trial is best) for trial in trials]


def _full(
    folder: Path,
    network: Network,
    plan: Recipe,
    pictures: _Pictures,
    material: Material,
    job: Job,
    budget: Budget | None,
    candidates: list[dict[str, Any]],
    watch: Watch,
) -> Fitted:
    """Train fully, keeping the metrics of every epoch, and write the run."""
    watch.heading(f"training {network.name}, {_counted(plan.epochs, 'epoch')}")

    def keep(row: Row) -> None:
        append_row(folder / "metrics.csv", row)

    with _threads(network, plan, job):
        with watch.progress(network.name) as report:
            model, history = _trained(network, plan, pictures, job.seed, on_step=report, on_epoch=keep)
        reached = f"validation {100 * history.last.val_accuracy:.1f} %"
        _warn_of_chance(history, pictures, watch)
        watch.say(f"{reached} after {_counted(len(history.rows), 'epoch')}")
        document = write_run(
            folder, network, model, material, history, plan,
            budget=budget, candidates=candidates, command=job.command, watch=watch,
        )  # fmt: skip
    return Fitted(folder, network, document)


def _warn_of_chance(history: History, pictures: _Pictures, watch: Watch) -> None:
    """Say so where the network does no better than to name the commonest class every time."""
    commonest = np.bincount(pictures.val.labels).max() / len(pictures.val.labels)
    if history.last.val_accuracy <= commonest:
        watch.say("no better than chance: give more --epochs, more pictures or a larger budget")


def _threads(network: Network, plan: Recipe, job: Job) -> contextlib.AbstractContextManager[None]:
    return sharing(plan.batch_size * network.cost().macs, job.threads)


def _trained(
    network: Network,
    plan: Recipe,
    pictures: _Pictures,
    seed: int,
    *,
    on_step: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> tuple[NetworkModule, History]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights are drawn from torch's generator
        model = create(network)
    history = train(
        model,
        plan,
        pictures.train,
        pictures.val,
        network.preprocess,
        seed=seed,
        on_step=on_step,
        on_epoch=on_epoch,
    )
    return model, history


def _describe(material: Material, watch: Watch) -> None:
    dataset, parts = material.dataset, material.split
    watch.heading(f"{dataset.name}: {len(dataset.pictures):,} pictures, {len(dataset.classes)} classes")
    colour = "grey" if material.channels == 1 else "colour"
    sizes = f"{len(parts.train):,} to train, {len(parts.val):,} to validate"
    watch.say(f"{sizes}, {len(parts.test):,} to test once at the end")
    watch.say(
        f"networks see {material.resolution}x{material.resolution} pixels, {colour}; --resolution changes it"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
