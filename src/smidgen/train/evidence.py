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
from smidgen import report
from smidgen.data import FilePicture
from smidgen.graph import Network
from smidgen.graph.draw import architecture
from smidgen.modules import NetworkModule, save
from smidgen.spec import Budget
from smidgen.train.evaluate import accuracy, confusion, predict_logits
from smidgen.train.latency import machine_name, measure
from smidgen.train.loop import History
from smidgen.train.material import Material
from smidgen.train.pixels import Pixels
from smidgen.train.recipe import Recipe
from smidgen.train.runfolder import MODEL_FILE
from smidgen.train.watch import Watch

__all__ = ["scored", "write_run"]

MOST_MISTAKES = 24


def write_run(
    folder: Path,
    network: Network,
    model: NetworkModule,
    material: Material,
    history: History,
    recipe: Recipe,
    *,
    budget: Budget | None,
    candidates: Sequence[Mapping[str, Any]],
    command: str,
    watch: Watch,
) -> report.Report:
    """Look at the test split once and write model file, `report.json` and `report.html`."""
    data = material.pixels("test", watch)
    logits = predict_logits(model, data.pictures, network.preprocess)
    test = scored(logits, data.labels)
    provenance = _provenance(material, recipe, command)
    size = save(folder / MODEL_FILE, network, model, _embedded(provenance, test))
    cost = network.cost()
    document = report.complete(
        {
            "network": {"name": network.name, "family": network.family},
            "budget": budget.limits() if budget else None,
            "cost": {
                "params": cost.params,
                "macs": cost.macs,
                "peak_bytes": cost.peak_bytes,
                "weight_bytes": size,
            },
            "test": test,
            "measured": {"latency_ms": measure(model, network.input)},
            "candidates": list(candidates) or None,
            "provenance": provenance,
            "classes": list(network.classes),
            "confusion": confusion(logits, data.labels),
            "curves": [row.to_dict() for row in history.rows],
            "mistakes": _mistakes(material, data, logits),
            "model_file": MODEL_FILE,
            "dropped_strides": network.dropped_strides,
            "resolution": network.input.height,
            "next_commands": _next_commands(folder, material),
        }
    )
    report.write(folder / "report.json", document)
    report.write_page(folder / "report.html", document, architecture(network))
    return document


def scored(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy as a fraction, its 95 % interval, and how many pictures it stands on."""
    right = accuracy(logits, labels)
    low, high = report.wilson(round(right * len(labels)), len(labels))
    return {"accuracy": right, "interval": [low, high], "n": len(labels)}


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
            "test_fingerprint": material.test_fingerprint,
            "split": {"train": len(parts.train), "val": len(parts.val), "test": len(parts.test)},
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": machine_name(), "threads": torch.get_num_threads()},
        "recipe": recipe.to_dict(),
    }


def _embedded(provenance: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the provenance that travels in the model file."""
    data = {key: provenance["data"][key] for key in ("name", "fingerprint", "test_fingerprint", "split")}
    return {"seed": provenance["seed"], "data": data, "versions": provenance["versions"], "test": dict(test)}


def _mistakes(material: Material, data: Pixels, logits: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, as pictures."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    confidence = (shifted / shifted.sum(1, keepdims=True)).max(1)
    predicted = logits.argmax(1)
    wrong = np.flatnonzero(predicted != data.labels)
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
    skip_bad = ["--skip-bad"] if material.survey.unreadable else []
    commands = [["eval", model, material.data, *skip_bad], ["show", model]]
    if isinstance(example, FilePicture):
        commands.insert(0, ["predict", model, str(example.path)])
    return [shlex.join(["smidgen", *command]) for command in commands]
