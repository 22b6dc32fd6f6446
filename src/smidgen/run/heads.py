"""Whether tuning was worth it: what published weights know, under a head alone, may be hard to beat."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from smidgen.modules import NetworkModule
from smidgen.run.contest import Outcome
from smidgen.run.plan import Plan
from smidgen.run.runner import Runner
from smidgen.train import EpochRow, Examples
from smidgen.train.evaluate import accuracy, balanced_accuracy, cross_entropy, predict_logits
from smidgen.watch import Watch

__all__ = ["delivered"]


def delivered(plan: Plan, runner: Runner, outcome: Outcome, watch: Watch) -> tuple[Outcome, NetworkModule]:
    """The contest's winner with its weights: tuned, or a trial's start where its head alone does better.

    Pictures of the validation part decide. Both ways are functions of the record, so that a resume agrees.
    """
    tuned = plan.score(outcome.last)
    for number in _promising(plan, outcome, tuned):
        model, network = runner.begun(number), plan.trials[number].network
        val = runner.material.pixels("val", watch, network)
        row = _row(predict_logits(model, val.pictures, network.preprocess), val, outcome.rows[number])
        if plan.score(row) > tuned:
            watch.say(
                f"a logistic regression on the features of {network.name} is better than tuning, "
                f"{100 * plan.score(row):.1f} % to {100 * tuned:.1f} %: it is kept"
            )
            return dataclasses.replace(outcome, best=number, head=row), model
    return outcome, runner.finished(outcome.best)


def _promising(plan: Plan, outcome: Outcome, tuned: float) -> list[int]:
    """Trials whose regression looked better than what came of tuning, the best first."""
    looked = {number: trial.regression or 0.0 for number, trial in enumerate(plan.trials)}
    better = [number for number, found in looked.items() if found > tuned and outcome.rows[number]]
    return sorted(better, key=lambda number: -looked[number])


def _row(logits: NDArray[np.float32], val: Examples, rows: tuple[EpochRow, ...]) -> EpochRow:
    """The start of a training, as a row of its own: no epoch was done."""
    return dataclasses.replace(
        rows[0],
        epoch=0,
        step=0,
        lr=0.0,
        val_loss=cross_entropy(logits, val.labels),
        val_accuracy=accuracy(logits, val.labels),
        val_balanced_accuracy=balanced_accuracy(logits, val.labels),
    )
