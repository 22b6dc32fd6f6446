"""What a run is going to do, decided once and stored: networks, recipes, rungs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smidgen.compress import Cutting
from smidgen.graph import Network, from_json, to_json
from smidgen.scaling import costs
from smidgen.spec import LATENCY
from smidgen.train import EpochRow, Recipe

__all__ = ["ETA", "RUNGS", "Destination", "Plan", "Rung", "Start", "Trial", "full_trainings", "rungs_for"]


@dataclass(frozen=True, slots=True)
class Start:
    """Published weights that a training starts from.

    network, key  as `smidgen.weights.find` takes them
    cutting       how much of that network is kept; None: all but a head that does not fit
    """

    network: str
    key: str
    cutting: Cutting | None = None

    def __str__(self) -> str:
        return f"{self.network}, {self.key}"

    def to_json(self) -> dict[str, Any]:
        """The start, ready for JSON."""
        cutting = self.cutting.to_json() if self.cutting else None
        return {"network": self.network, "key": self.key, "cutting": cutting}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Start:
        """Read what `to_json` wrote."""
        cutting = document["cutting"]
        return cls(document["network"], document["key"], Cutting.from_json(cutting) if cutting else None)


@dataclass(frozen=True, slots=True)
class Rung:
    """A place on the way where candidates are compared.

    share  of each candidate's epochs
    kept   candidates that train on from here
    """

    share: float
    kept: int

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and isinstance(self.kept, int) and self.kept >= 1):
            raise ValueError(f"no rung: share={self.share}, kept={self.kept}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One network and how it is trained.

    start    published weights that it starts from; None: from scratch
    regression  accuracy of a logistic regression on its features, where it was looked at before the training
    teacher  published network that teaches it, after it was tuned to the data itself
    predicted_ms  that the plan's device will take for one picture
    epoch_seconds  that an epoch took where it was measured, beside as many others as train together
    """

    network: Network
    recipe: Recipe
    start: Start | None = None
    teacher: str | None = None
    predicted_ms: float | None = None
    epoch_seconds: float | None = None
    regression: float | None = None

    def costs(self) -> dict[str, float | None]:
        """Costs of the network in the units of a budget; None for milliseconds that nobody predicted."""
        return {**costs(self.network), LATENCY.name: self.predicted_ms}

    def untaught(self) -> Trial:
        """The trial without a teacher."""
        return dataclasses.replace(
            self, teacher=None, recipe=dataclasses.replace(self.recipe, distillation=0.0)
        )

    def to_json(self) -> dict[str, Any]:
        """The trial, ready for JSON."""
        return {
            "network": to_json(self.network),
            "recipe": self.recipe.to_dict(),
            "start": self.start.to_json() if self.start else None,
            "teacher": self.teacher,
            LATENCY.name: self.predicted_ms,
            "epoch_seconds": self.epoch_seconds,
            "regression": self.regression,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Trial:
        """Read what `to_json` wrote."""
        network, plan = from_json(document["network"]), Recipe.from_dict(document["recipe"])
        start = document["start"]
        known = (document.get(key) for key in (LATENCY.name, "epoch_seconds", "regression"))
        return cls(network, plan, Start.from_json(start) if start else None, document["teacher"], *known)

    def epochs_at(self, share: float) -> int:
        """Whole epochs of a share of the training, at least one."""
        return min(self.recipe.epochs, max(1, round(share * self.recipe.epochs)))


class Destination(NamedTuple):
    """The device that the networks are meant for.

    name   as it is printed beside milliseconds
    here   whether it is this machine
    error  of nine of ten predictions at most, as a share
    threads  that a prediction uses there
    """

    name: str
    here: bool
    error: float
    threads: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Trials, and the rungs at which they are compared; the last rung is the end of the training.

    teacher  trained before them, where some of them learn from it
    device   that the latencies are predicted for
    """

    trials: tuple[Trial, ...]
    rungs: tuple[Rung, ...]
    teacher: Trial | None = None
    device: Destination | None = None

    def __post_init__(self) -> None:
        if not (self.trials and self.rungs):
            raise ValueError("a plan needs trials and rungs")

    @property
    def balanced(self) -> bool:
        """Whether the classes count alike when trials are compared."""
        return self.trials[0].recipe.class_weights

    def score(self, row: EpochRow) -> float:
        """What trials are compared by, after an epoch."""
        return row.val_balanced_accuracy if self.balanced else row.val_accuracy

    def to_json(self) -> dict[str, Any]:
        """The plan, ready for JSON."""
        return {
            "trials": [trial.to_json() for trial in self.trials],
            "rungs": [dataclasses.asdict(rung) for rung in self.rungs],
            "teacher": self.teacher.to_json() if self.teacher else None,
            "device": self.device._asdict() if self.device else None,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """Read what `to_json` wrote. Raises TreeError and the like on anything else."""
        trials = tuple(map(Trial.from_json, document["trials"]))
        teacher, device = document["teacher"], document.get("device")
        rungs = tuple(Rung(**row) for row in document["rungs"])
        return cls(
            trials,
            rungs,
            Trial.from_json(teacher) if teacher else None,
            Destination(**device) if device else None,
        )


# Shares of the training after which candidates are compared; one in ETA goes on.
RUNGS = (0.15, 0.45)
ETA = 3


def rungs_for(candidates: int, finalists: int) -> tuple[Rung, ...]:
    """Successive halving for so many candidates, of which at least so many are trained to the end.

    Source   Jamieson and Talwalkar 2016, arXiv:1502.07943
    """
    rungs: list[Rung] = []
    left = candidates
    for share in RUNGS:
        kept = max(finalists, math.ceil(left / ETA))
        if kept < left:
            rungs.append(Rung(share, kept))
            left = kept
    return (*rungs, Rung(1.0, 1))


def full_trainings(candidates: int, rungs: Sequence[Rung], workers: int) -> float:
    """Length of the whole contest, in trainings of one candidate from start to end."""
    length, before, left = 0.0, 0.0, candidates
    for rung in rungs:
        length += math.ceil(left / workers) * (rung.share - before)
        before, left = rung.share, rung.kept
    return length
