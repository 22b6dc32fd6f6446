"""Accuracy of a finished model on data, with classes matched by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from smidgen import modelfile, report
from smidgen.data import (
    Dataset,
    Survey,
    fingerprint,
    load_pixels,
    open_dataset,
    require_readable,
    split,
    survey,
)
from smidgen.families import names
from smidgen.graph import Network
from smidgen.spec import DataError
from smidgen.train.evaluate import confusion, predict_logits
from smidgen.train.evidence import scored
from smidgen.train.material import part_of
from smidgen.train.predict import open_predictor
from smidgen.train.watch import Watch

__all__ = ["Choice", "score"]

Choice = Literal["auto", "all", "train", "val", "test"]


def score(
    model: str, data: str, *, part: Choice = "auto", skip_bad: bool = False, watch: Watch
) -> dict[str, Any]:
    """Accuracy, its interval, balanced accuracy and per-class scores of a model on one part of the data.

    model   model file, or published name
    part    "auto" is the test part where the data are those that the model was trained on, else all
    Raises  DataError where the data has classes that the model does not know.
    """
    dataset = open_dataset(data)
    with watch.progress(f"fetching {model}") as progress:
        predictor = open_predictor(model, progress)
    provenance = {} if model in names() else modelfile.read(model).provenance
    with watch.progress("checking pictures") as progress:
        found = survey(dataset, progress)
    require_readable(found, skip_bad)
    to_output = _matching(dataset, predictor.network, model)
    chosen, indices = _part(dataset, found, provenance, part, watch)
    network = predictor.network
    with watch.progress("decoding") as progress:
        pictures = load_pixels(dataset, indices, network.input, network.preprocess, progress)
    labels = np.array([to_output[dataset.pictures[index].label] for index in indices], np.int64)
    logits = predict_logits(predictor.model, pictures, network.preprocess)
    matrix = confusion(logits, labels)
    return {
        "part": chosen,
        **scored(logits, labels),
        "balanced_accuracy": report.balanced_accuracy(matrix),
        "classes": [
            {"name": name, **scores._asdict()}
            for name, scores in zip(network.classes, report.per_class(matrix), strict=True)
            if scores.support
        ],
    }


def _matching(dataset: Dataset, network: Network, model: str) -> list[int]:
    """Output of the network for each class of the data, by name."""
    if not network.classes:
        raise DataError(f"{model} does not know the names of its classes; its answers cannot be scored")
    outputs = {name: index for index, name in enumerate(network.classes)}
    unknown = [name for name in dataset.classes if name not in outputs]
    if unknown:
        known = ", ".join([*list(outputs)[:8], *(["…"] if len(outputs) > 8 else [])])
        raise DataError(f"{model} does not know the class '{unknown[0]}' of {dataset.name}; it knows {known}")
    return [outputs[name] for name in dataset.classes]


def _part(
    dataset: Dataset, found: Survey, provenance: Mapping[str, Any], part: Choice, watch: Watch
) -> tuple[str, tuple[int, ...]]:
    recorded, seed = provenance.get("data"), provenance.get("seed")
    trained_on = recorded if isinstance(recorded, dict) else {}
    same_pictures = trained_on.get("fingerprint") == fingerprint(dataset, found)
    if part == "auto":
        its_own = same_pictures and _has_test_part(dataset, found, trained_on, seed)
        if not its_own and (same_pictures or trained_on.get("name") == dataset.name):
            watch.say("these look like the training pictures, but split or changed; the accuracy may flatter")
        part = "test" if its_own else "all"
    if part == "all":
        return "all", tuple(index for index, seen in enumerate(found.decoded) if seen)
    indices = part_of(split(dataset, found, seed if same_pictures and isinstance(seed, int) else 0), part)
    if not indices:
        raise DataError(f"{dataset.name} has no pictures in its {part} part")
    return f"the {part} part", indices


def _has_test_part(dataset: Dataset, found: Survey, trained_on: Mapping[str, Any], seed: object) -> bool:
    """Whether the data, split as they were for training, give the test part that was kept back."""
    test = split(dataset, found, seed if isinstance(seed, int) else 0).test
    return bool(trained_on.get("test_fingerprint") == fingerprint(dataset, found, set(test)))
