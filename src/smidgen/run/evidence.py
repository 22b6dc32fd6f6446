"""What a run can show for itself: the one look at the test split, costs, latency, mistakes, provenance."""

from __future__ import annotations

import base64
import datetime
import io
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

import smidgen
from smidgen import gate, modelfile, report
from smidgen.data import FilePicture
from smidgen.draw import architecture
from smidgen.engine.clock import measure, measure_memory
from smidgen.graph import Network
from smidgen.machine import machine_name
from smidgen.modules import NetworkModule, save
from smidgen.run.contest import Outcome
from smidgen.run.plan import ETA, Plan, Trial
from smidgen.run.record import Record
from smidgen.scaling import costs
from smidgen.train import (
    Examples,
    Material,
    confusion,
    evaluated,
    none_of_these,
    predict_logits,
    scored,
)
from smidgen.train.evaluate import answers
from smidgen.train.footprint import prediction_batch
from smidgen.train.runfolder import MODEL_FILE
from smidgen.train.threads import sharing
from smidgen.watch import Watch

__all__ = ["Winner", "write_run"]

MOST_MISTAKES = 24


@dataclass(frozen=True, slots=True)
class Winner:
    """How a run came to its end.

    model    the winner, with the weights that are kept
    trained  device, threads and processes of the training
    """

    outcome: Outcome
    model: NetworkModule
    trained: Mapping[str, Any]


def write_run(folder: Path, kept: Record, material: Material, winner: Winner, watch: Watch) -> report.Report:
    """Look at the test split once and write model file, `report.json`, `report.html` and `model_card.md`."""
    gate.require_run(folder)  # a person may have put files there meanwhile
    plan, outcome, model = kept.plan, winner.outcome, winner.model
    best = plan.trials[outcome.best]
    network = best.network
    val = material.pixels("val", watch, network)
    refusal = none_of_these(_outputs(model, val, network), val.labels)
    data = material.pixels("test", watch, network)
    logits = _outputs(model, data, network)
    provenance = _provenance(material, best, kept)
    provenance["machine"] |= winner.trained
    embedded = _embedded(provenance, scored(logits, data.labels), refusal)
    size = save(folder / MODEL_FILE, network, model, embedded)
    predicted = _predicted(best, plan)
    document = report.complete(
        {
            "network": {"name": network.name, "family": network.family},
            "budget": kept.budget.limits() if kept.budget else None,
            "cost": {
                **costs(network),
                "weight_bytes": size,
                "int8_bytes": modelfile.weight_bytes(network, embedded, weights="int8"),
            },
            "test": evaluated(logits, data.labels),
            "reliability": _reliability(logits, data.labels),
            "none_of_these": refusal,
            "measured": _measured(folder / MODEL_FILE, size, predicted) | {"predicted_ms": predicted},
            "candidates": _candidates(plan, outcome),
            "contest": _contest(plan, outcome),
            "starting_point": _starting_point(best, plan, outcome),
            "provenance": provenance,
            "classes": list(network.classes),
            "confusion": confusion(logits, data.labels),
            "curves": [] if outcome.head else [row.to_dict() for row in outcome.rows[outcome.best]],
            "mistakes": _mistakes(material, data, logits),
            "model_file": MODEL_FILE,
            "dropped_strides": network.dropped_strides,
            "resolution": network.input.height,
            "next_commands": _next_commands(folder, material),
        }
    )
    report.write_page(folder / "report.html", document, architecture(network))
    report.write_card(folder / "model_card.md", document)
    report.write(folder / "report.json", document)  # last: where it stands, the run is finished
    return document


def _outputs(model: NetworkModule, data: Examples, network: Network) -> NDArray[np.float32]:
    with sharing(min(len(data), prediction_batch(network)) * network.cost().macs):
        return predict_logits(model, data.pictures, network.preprocess)


def _reliability(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Any] | None:
    confidence, right = answers(logits, labels)
    return list(report.reliability(confidence, right)) if np.isfinite(confidence).all() else None


def _measured(path: Path, size: int, predicted: Mapping[str, Any] | None) -> dict[str, Any]:
    """Time, memory and size of the model as `smidgen predict` runs it, and why one of them is missing.

    predicted  where it is for this machine, as many threads are timed
    """
    threads = predicted["threads"] if predicted and predicted["here"] else None
    latency, unclocked = measure(path, threads)
    memory, unmetered = measure_memory(path, threads)
    note = "; ".join(filter(None, (unclocked, unmetered))) or None
    return {"latency_ms": latency, "memory": memory, "size_bytes": size, "note": note}


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
                "val_accuracy": _score(plan, outcome, number),
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


def _score(plan: Plan, outcome: Outcome, number: int) -> float | None:
    """What a trial came to, with the weights that were kept of it."""
    rows = outcome.rows[number]
    last = outcome.last if number == outcome.best else rows[-1] if rows else None
    return None if last is None else plan.score(last)


def _starting_point(best: Trial, plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """What the winner's training began with, for the report."""
    if best.teacher and plan.teacher and outcome.taught_by:
        cost = plan.teacher.network.cost()
        known = {"name": best.teacher, "params": cost.params, "val_accuracy": outcome.taught_by.val_accuracy}
        return {"kind": "teacher", "weights": None, "teacher": known}
    if best.start is not None:
        how = "; a logistic regression on its features, nothing tuned" if outcome.head else ""
        return {"kind": "weights", "weights": f"{best.start}{how}", "teacher": None}
    return {"kind": "scratch", "weights": None, "teacher": None}


def _predicted(best: Trial, plan: Plan) -> dict[str, Any] | None:
    """The winner's milliseconds on the device that it is meant for, for the report."""
    device = plan.device
    if device is None:
        return None
    # A run may be taken up on another machine than it was begun on.
    here = device.here and device.name.startswith(f"{machine_name()}, ")
    return {**device._asdict(), "here": here, "value": best.predicted_ms, "device": device.name}


def _provenance(material: Material, best: Trial, kept: Record) -> dict[str, Any]:
    parts = material.split
    return {
        "command": kept.job.command,
        "seed": material.seed,
        "versions": {
            "smidgen": smidgen.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "data": {
            "name": material.dataset.name,
            "source": material.dataset.source,
            "fingerprint": material.fingerprint,
            "pictures": sum(picture is not None for picture in material.survey.decoded),
            "classes": len(material.dataset.classes),
            "group_by": material.group_by,
            "test_fingerprint": material.test_fingerprint,
            "split": {"train": len(parts.train), "val": len(parts.val), "test": len(parts.test)},
            "near_identical": material.near_identical,
            "aspect": best.network.preprocess.aspect,
            "cut_away": material.cut_away,
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": machine_name()},
        "recipe": best.recipe.to_dict(),
        "time_limit_s": kept.job.time_limit,
        "starts": list(kept.starts) or None,
    }


def _embedded(
    provenance: Mapping[str, Any], test: Mapping[str, Any], refusal: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The part of the provenance that travels in the model file."""
    kept = ("name", "fingerprint", "test_fingerprint", "split", "group_by")
    data = {key: provenance["data"][key] for key in kept}
    return {
        "seed": provenance["seed"],
        "data": data,
        "training": {"class_weights": provenance["recipe"]["class_weights"]},
        "versions": provenance["versions"],
        "test": dict(test),
        "none_of_these": None if refusal is None else dict(refusal),
    }


def _mistakes(material: Material, data: Examples, logits: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, as pictures."""
    confidence, right = answers(logits, data.labels)
    predicted = logits.argmax(1)
    wrong = np.flatnonzero(~right & np.isfinite(confidence))
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    classes = material.dataset.classes
    return [
        {
            "name": material.dataset.pictures[material.split.test[row]].name,
            "true": classes[data.labels[row]],
            "predicted": classes[predicted[row]],
            "confidence": float(confidence[row]),
            "png_base64": _png(data.pictures[row]),
        }
        for row in surest
    ]


def _png(picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _next_commands(folder: Path, material: Material) -> list[str]:
    """Commands that work as they stand, from the folder in which the run was started."""
    model, example = str(folder / MODEL_FILE), material.dataset.pictures[material.split.test[0]]
    options = ["--skip-bad"] if material.survey.unreadable else []
    if material.group_by is not None:
        options += ["--group-by", material.group_by]
    commands = [["eval", model, material.data, *options], ["show", model]]
    if isinstance(example, FilePicture):
        commands.insert(0, ["predict", model, str(example.path)])
    return [shlex.join(["smidgen", *command]) for command in commands]
