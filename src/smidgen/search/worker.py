"""A worker of a search: it takes a task, trains, reports, and takes the next until none is left.

`python -m smidgen.search.worker STUDY PARENT` is one of those that `smidgen search` starts; it ends with the
process PARENT, and by SIGTERM after a step, its task left to others.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from smidgen.run import Plan, Runner, Session, Trial
from smidgen.run.plan import rungs_for
from smidgen.search.agenda import Agenda, Task
from smidgen.search.study import Result, Study
from smidgen.spec import SmidgenError
from smidgen.train import (
    Interrupted,
    Material,
    Reading,
    Stopwatch,
    TrainingError,
    accuracy,
    cross_entropy,
    predict_logits,
    prepare,
)
from smidgen.train.parallel import ALONE
from smidgen.watch import Watch

__all__ = ["Trainer", "material_of", "work"]

PAUSE = 0.5  # seconds between looks for a new task while others finish theirs

# Makes a task's result; asks after every step whether to stop, and raises Interrupted then.
Perform = Callable[[Task, Callable[[], bool]], Result]


def work(study: Study, perform: Perform, stopping: Callable[[], bool]) -> None:
    """Do tasks until the study is finished, or somebody wants it to stop."""
    pause = threading.Event()
    while not (stopping() or study.finished()):
        claim = study.claim()
        if claim is None:  # those that are left are in other workers' hands, who may yet die
            pause.wait(PAUSE)
            continue
        try:
            result = perform(claim.task, stopping)
        except Interrupted:
            study.give_back(claim)
            return
        except TrainingError as error:
            result = Result(note=str(error))
        study.report(claim, result)


class Trainer:
    """Trains a task's network on the data, with one thread: its result does not depend on who else works."""

    def __init__(self, agenda: Agenda, material: Material) -> None:
        self._agenda, self._material = agenda, material

    def __call__(self, task: Task, stopping: Callable[[], bool]) -> Result:
        """Train to the end of the task's epochs and judge the validation pictures."""
        clock = Stopwatch()
        trial = self._trial(task)
        runner = Runner(
            Path(),  # it keeps no checkpoints: a task is what a kill may cost
            Plan((trial,), rungs_for(1, 1)),
            self._material,
            Session(task.seed, threads=1, device="cuda" if torch.cuda.is_available() else "cpu"),
        )
        with runner.threads_for(trial):
            training = runner.training(trial, ALONE)
            training.run(stopping=stopping)
            training.finish()
            pixels = self._material.pixels("val", Watch(), trial.network)
            logits = predict_logits(
                training.model, pixels.pictures, trial.network.preprocess, device=runner.session.device
            )
        return Result(
            accuracy(logits, pixels.labels),
            cross_entropy(logits, pixels.labels),
            logits.argmax(1) == pixels.labels,
            clock.seconds,
        )

    def _trial(self, task: Task) -> Trial:
        network = self._material.fitted(self._agenda.network(task.rule, task.macs)[1])
        return Trial(network, self._agenda.recipe.shortened(task.epochs))


def material_of(about: dict[str, Any], watch: Watch) -> Material:
    """The study's pictures. Raises SmidgenError where they are not those that it was begun with."""
    material = prepare(
        about["data"],
        aspect=about.get("aspect", "crop"),  # what was begun before there was a choice
        seed=about["seed"],
        reading=Reading(about["skip_bad"], about["group_by"]),
        watch=watch,
    )
    if material.arrangement != about["arrangement"]:
        raise SmidgenError(f"{about['data']} is not what the search was begun with; begin a new one")
    return material


def main() -> None:
    """Work on a study until it is finished, the parent is gone, or somebody asks to stop."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())

    def stopping() -> bool:
        return stop.is_set() or os.getppid() != parent

    try:
        study = Study(folder)
        work(study, Trainer(study.agenda, material_of(study.about, Watch())), stopping)
    except SmidgenError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
