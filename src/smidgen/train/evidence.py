"""What a run can show for itself: the one look at the test split, costs, latency, mistakes, provenance."""

from __future__ import annotations

import base64
import datetime
import io
import platform
import shlex
from collections.abc import Mapping, Sequence
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
from smidgen.scaling import costs
from smidgen.spec import Budget
from smidgen.train.evaluate import accuracy, confusion, predict_logits
from smidgen.train.footprint import prediction_batch
from smidgen.train.material import Material
from smidgen.train.metrics import Row
from smidgen.train.pixels import Pixels
from smidgen.train.recipe import Recipe
from smidgen.train.runfolder import MODEL_FILE
from smidgen.train.threads import sharing
from smidgen.watch import Watch

__all__ = ["evaluated", "none_of_these", "scored", "write_run"]

MOST_MISTAKES = 24
KEEP = 0.95  # of the validation pictures, all of which belong to the classes


def write_run(
    folder: Path,
    network: Network,
    model: NetworkModule,
    material: Material,
    rows: Sequence[Row],
    recipe: Recipe,
    *,
    budget: Budget | None,
    candidates: Sequence[Mapping[str, Any]],
    command: str,
    watch: Watch,
    contest: Mapping[str, Any] | None = None,
    starting_point: Mapping[str, Any] | None = None,
    time_limit: float | None = None,
    starts: Sequence[str] = (),
    trained: Mapping[str, Any] | None = None,
    predicted: Mapping[str, Any] | None = None,
) -> report.Report:
    """Look at the test split once and write model file, `report.json`, `report.html` and `model_card.md`.

    contest         rungs of the contest and how well their orders agreed, as the report's schema has it
    starting_point  what training began with, as the report's schema has it
    time_limit      seconds that the job was given
    starts          when the work was begun and taken up again
    trained         device, threads and processes of the training
    predicted       milliseconds on the device that the network is meant for, as the report's schema has it
    """
    gate.require_run(folder)  # a person may have put files there meanwhile
    val = material.pixels("val", watch, network)
    refusal = none_of_these(_outputs(model, val, network), val.labels)
    data = material.pixels("test", watch, network)
    logits = _outputs(model, data, network)
    provenance = _provenance(material, recipe, command) | {
        "time_limit_s": time_limit,
        "starts": list(starts) or None,
    }
    provenance["machine"] |= trained or {}
    embedded = _embedded(provenance, scored(logits, data.labels), refusal)
    size = save(folder / MODEL_FILE, network, model, embedded)
    document = report.complete(
        {
            "network": {"name": network.name, "family": network.family},
            "budget": budget.limits() if budget else None,
            "cost": {
                **costs(network),
                "weight_bytes": size,
                "int8_bytes": modelfile.weight_bytes(network, embedded, weights="int8"),
            },
            "test": evaluated(logits, data.labels),
            "reliability": _reliability(logits, data.labels),
            "none_of_these": refusal,
            "measured": _measured(folder / MODEL_FILE, size, predicted) | {"predicted_ms": predicted},
            "candidates": list(candidates) or None,
            "contest": contest,
            "starting_point": starting_point,
            "provenance": provenance,
            "classes": list(network.classes),
            "confusion": confusion(logits, data.labels),
            "curves": [row.to_dict() for row in rows],
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


def _outputs(model: NetworkModule, data: Pixels, network: Network) -> NDArray[np.float32]:
    with sharing(min(len(data), prediction_batch(network)) * network.cost().macs):
        return predict_logits(model, data.pictures, network.preprocess)


def scored(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy as a fraction, its 95 % interval, and how many pictures it stands on."""
    right = accuracy(logits, labels)
    low, high = report.wilson(round(right * len(labels)), len(labels))
    return {"accuracy": right, "interval": [low, high], "n": len(labels)}


def evaluated(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """`scored`, and what the logits say beyond it: top-5, balanced accuracy, calibration error."""
    confidence, right = _answers(logits, labels)
    return scored(logits, labels) | {
        "top5_accuracy": report.top_accuracy(logits, labels),
        "balanced_accuracy": report.balanced_accuracy(confusion(logits, labels)),
        "calibration_error": report.calibration_error(confidence, right),
    }


def none_of_these(
    logits: NDArray[np.float32], labels: NDArray[np.int64] | None = None, keep: float = KEEP
) -> dict[str, Any] | None:
    """The threshold that a share `keep` of these pictures reaches, all of which belong to the classes.

    logits   float[N, classes] of pictures that the model was not trained on: the validation part
    labels   int[N], for the share of right answers among the kept
    returns  None where there are no pictures
    Source   Hendrycks & Gimpel 2017, arXiv:1610.02136: the maximum softmax probability as the score
    """
    confidence = report.probabilities(logits).max(axis=1)
    threshold = report.refusal_threshold(confidence, keep)
    if threshold is None:
        return None
    kept = confidence >= threshold
    right = None if labels is None else float((logits.argmax(1) == labels)[kept].mean())
    return {
        "score": "maximum softmax probability",
        "threshold": threshold,
        "kept": float(kept.mean()),
        "n": len(kept),
        "kept_accuracy": right,
    }


def _answers(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probability of the answer given to each picture, and whether it was right."""
    return report.probabilities(logits).max(axis=1), logits.argmax(1) == labels


def _reliability(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Any] | None:
    confidence, right = _answers(logits, labels)
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


def _provenance(material: Material, recipe: Recipe, command: str) -> dict[str, Any]:
    parts = material.split
    return {
        "command": command,
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
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": machine_name()},
        "recipe": recipe.to_dict(),
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


def _mistakes(material: Material, data: Pixels, logits: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, as pictures."""
    confidence, right = _answers(logits, data.labels)
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
