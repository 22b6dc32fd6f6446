"""Who takes part: what published weights know of the pictures, against what a new network learns at once.

A logistic regression on the features of a published network takes seconds, and so does a small network from
scratch. Where one is clearly behind the other, it would only take time from the contest.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from smidgen.compress import Place
from smidgen.modules import NetworkModule
from smidgen.run.beginning import at_start
from smidgen.run.job import Job
from smidgen.run.plan import Trial
from smidgen.run.together import before_training
from smidgen.train import Examples, Interrupted, Material, Training, TrainingData, TrainingError
from smidgen.train.evaluate import accuracy, predict_logits
from smidgen.train.head import cross_validated, fit_head
from smidgen.train.pixels import mirrored
from smidgen.watch import Watch

__all__ = ["Entrance", "entrance"]

MOST_STARTED = 3  # of the trials that start from published weights
_TRAIN, _MOST_LEARNED, _VAL = 1500, 10_000, 1000  # pictures that are looked at, at most
_SECONDS, _LOOK = 4.0, 0.3  # of each training from scratch, and for measuring its speed
_FEWEST, _MOST_EPOCHS = 2, 40
FEW = 200  # validation pictures, below which all pictures are held out in turn
# Standard errors by which one accuracy lies clearly above another.
CLEAR = 2.0
# Times the mistakes that the other one makes at least: in seconds a new network only begins to learn.
MISTAKES = 1.5
# Of the accuracy, in standard errors: what mirrored pictures may lose where left and right mean nothing.
MIRRORED = 1.0

Stopping: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Found:
    """Accuracies on `n` pictures that were not learned, as they are and mirrored; None: not measured."""

    accuracy: float
    n: int
    mirrored: float | None = None

    @property
    def error(self) -> float:
        """Standard error of the accuracy, of a few more pictures than there are: 100 % is not certain."""
        share = (self.accuracy * self.n + 2) / (self.n + 4)
        return math.sqrt(share * (1 - share) / self.n)

    @property
    def same_mirrored(self) -> bool:
        """Whether left and right mean nothing in the pictures, as far as can be told."""
        return self.mirrored is not None and self.accuracy - self.mirrored <= MIRRORED * self.error

    def clearly_above(self, other: _Found) -> bool:
        """Whether it makes far fewer mistakes, and chance hardly explains the difference."""
        fewer = 1 - other.accuracy > MISTAKES * (1 - self.accuracy)
        return fewer and self.accuracy - other.accuracy > CLEAR * math.hypot(self.error, other.error)


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who takes part.

    started  from published weights, the most promising first
    new      from scratch
    """

    started: tuple[Trial, ...]
    new: tuple[Trial, ...]


def entrance(started: list[Trial], new: list[Trial], material: Material, job: Job, watch: Watch) -> Entrance:
    """Those trials that may win, as far as some seconds tell.

    started  from published weights; new  from scratch
    Raises   StoppedError where somebody asked to stop
    """
    if not started:
        return Entrance((), tuple(new))
    watch.heading("do published weights know these pictures?")
    heads = _heads(started, material, job.seed, watch)
    if not heads:
        return Entrance((), tuple(new))
    ranked = sorted(heads, key=lambda number: (-heads[number].accuracy, started[number].network.cost().macs))
    best = heads[ranked[0]]
    watch.say(
        f"a logistic regression on the features of {started[ranked[0]].network.name}: "
        f"{100 * best.accuracy:.1f} % of {best.n:,} pictures that it was not fitted to"
    )
    flip = not job.no_flip and _mirrors(best, watch)
    chosen = tuple(
        dataclasses.replace(_flipped(started[number], flip), regression=heads[number].accuracy)
        for number in ranked[:MOST_STARTED]
    )
    if not new:
        return Entrance(chosen, ())
    learned, name = max(
        ((_learned(trial, material, job.seed, watch), trial.network.name) for trial in _of_families(new)),
        key=lambda found: found[0].accuracy,
    )
    watch.say(f"{name}, trained from scratch for some seconds: {100 * learned.accuracy:.1f} %")
    return _compared(best, learned, Entrance(chosen, tuple(new)), job.class_weights, watch)


def _of_families(trials: list[Trial]) -> list[Trial]:
    """Of each family the network with the fewest multiply-adds: some learn at once, others late."""
    cheapest: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda trial: trial.network.cost().macs):
        cheapest.setdefault(trial.network.family, trial)
    return list(cheapest.values())


def _mirrors(found: _Found, watch: Watch) -> bool:
    """Whether training mirrors pictures; that is said where it is known."""
    if found.mirrored is None:
        return False
    told = f"mirrored, {100 * found.mirrored:.1f} % are recognised"
    if found.same_mirrored:
        watch.say(f"{told}, so tuning mirrors pictures; --no-flip does not")
    else:
        watch.say(f"{told}: left and right mean something, so tuning mirrors nothing")
    return found.same_mirrored


def _compared(
    features: _Found, learned: _Found, everybody: Entrance, balanced: bool, watch: Watch
) -> Entrance:
    """Both sides, the best start of one, where neither is clearly ahead; that is said where one is."""
    if balanced:
        return everybody  # accuracies say little where the classes are to count alike
    if features.clearly_above(learned):
        watch.say("so networks from scratch take no part")
        return Entrance(everybody.started, ())
    if learned.clearly_above(features):
        watch.say("so published weights take no part")
        return Entrance((), everybody.new)
    return Entrance(everybody.started[:1], everybody.new)


def _flipped(trial: Trial, mirrored: bool) -> Trial:
    augment = dataclasses.replace(trial.recipe.augment, flip=mirrored)
    return dataclasses.replace(trial, recipe=dataclasses.replace(trial.recipe, augment=augment))


def _heads(trials: list[Trial], material: Material, seed: int, watch: Watch) -> dict[int, _Found]:
    """What a logistic regression on each trial's features answers, by its number.

    Larger pictures take longer: they are looked at by the cut alone that was best for smaller ones.
    """
    sides = {trial.network.input.height for trial in trials if _is_cut(trial)}
    later = [
        number
        for number, trial in enumerate(trials)
        if _is_cut(trial) and trial.network.input.height > min(sides)
    ]
    found = _looked({n: trial for n, trial in enumerate(trials) if n not in later}, material, seed, watch)
    cuts = [number for number in found if _is_cut(trials[number])]
    if not cuts:
        return found
    best = trials[max(cuts, key=lambda number: found[number].accuracy)]
    larger = {number: trials[number] for number in later if _place(trials[number]) == _place(best)}
    return found | (_looked(larger, material, seed, watch) if larger else {})


def _is_cut(trial: Trial) -> bool:
    return _place(trial) is not None


def _place(trial: Trial) -> tuple[str, Place] | None:
    """The network that was cut, and where; None where none was."""
    start = trial.start
    return (start.network, start.cutting.place) if start and start.cutting else None


def _looked(trials: Mapping[int, Trial], material: Material, seed: int, watch: Watch) -> dict[int, _Found]:
    """What came of looking at each, but for those that went wrong."""
    # Pictures that belong together would be fitted and held out at once.
    grouped = material.dataset.groups is not None
    crossed = len(material.split.val) < FEW and not grouped

    def look(trial: Trial, advance: Callable[[int], None], stopping: Stopping) -> _Found:
        if stopping():
            raise Interrupted(0, 1)
        data = _data(trial, material)
        model = at_start(trial, seed)
        found = _crossed(model, data) if crossed else _validated(model, data)
        advance(1)
        return found

    pieces = {number: functools.partial(look, trial) for number, trial in trials.items()}
    found = before_training("features", pieces, 1, watch)
    return {number: one for number, one in found.items() if isinstance(one, _Found)}


def _validated(model: NetworkModule, data: TrainingData) -> _Found:
    """What a regression on the training pictures answers for those that validate."""
    found = fit_head(model, data)
    if found is None:
        return _Found(0.0, len(data.val))
    answers = predict_logits(model, mirrored(data.val).pictures, data.preprocess)
    return _Found(found, len(data.val), accuracy(answers, data.val.labels))


def _crossed(model: NetworkModule, data: TrainingData) -> _Found:
    """The same by cross-validation over all of them: few pictures that validate would mislead."""
    pictures = np.concatenate([data.train.pictures, data.val.pictures])
    labels = np.concatenate([data.train.labels, data.val.labels])
    found = cross_validated(model, Examples(pictures, labels), data.preprocess)
    return _Found(0.0, len(labels)) if found is None else _Found(found[0], len(labels), found[1])


def _learned(trial: Trial, material: Material, seed: int, watch: Watch) -> _Found:
    """What a short training from scratch comes to; nothing where it goes wrong."""
    data = _data(trial, material, _MOST_LEARNED)

    def learn(advance: Callable[[int], None], stopping: Stopping) -> _Found:
        def training(epochs: int) -> Training:
            return Training(at_start(trial, seed), trial.recipe.shortened(epochs), data, seed=seed)

        each = training(_FEWEST).epoch_seconds(_LOOK)
        work = training(min(_MOST_EPOCHS, max(_FEWEST, int(_SECONDS / max(each, 1e-3)))))
        work.run(stopping=stopping)
        advance(1)
        return _Found(work.rows[-1].val_accuracy, len(data.val))

    found = before_training("training from scratch", {0: learn}, 1, watch)[0]
    return _Found(0.0, len(data.val)) if isinstance(found, TrainingError) else found


def _data(trial: Trial, material: Material, most: int = _TRAIN) -> TrainingData:
    """The trial's pictures, `most` to learn from. Those are decoded, and no others."""
    network = trial.network
    train, val = material.some("train", most, network), material.some("val", _VAL, network)
    return TrainingData(train, val, network.preprocess)
