"""Accuracy of a finished model on data, with classes matched by name."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smidgen import report
from smidgen.data import (
    Dataset,
    Survey,
    fingerprint,
    open_dataset,
    passed_over_news,
    require_readable,
    split,
    survey,
    unreadable_news,
)
from smidgen.graph import Network
from smidgen.images import Pixels, resize
from smidgen.predict import Predictor
from smidgen.spec import DataError, PictureError
from smidgen.train.evaluate import confusion, scored
from smidgen.train.material import part_of
from smidgen.train.predict import open_predictor
from smidgen.watch import Watch

__all__ = ["Choice", "score"]

Choice = Literal["auto", "all", "train", "val", "test"]

MOST_CONFUSED = 10  # pairs of classes that are listed


def score(
    model: str,
    data: str,
    *,
    part: Choice = "auto",
    skip_bad: bool = False,
    group_by: str | None = None,
    watch: Watch,
) -> dict[str, Any]:
    """What a model is worth on one part of the data: accuracy, and where it fails.

    model    model file, or published name
    group_by  as the training had it, so that the split is the same
    part     "auto" is the test part where the data are those that the model was trained on, else all
    returns  part, accuracy, interval, n, top5_accuracy (None up to 5 classes), balanced_accuracy,
             cautions (sentences that belong beside the accuracy), at_chance, too_few, misleading (see
             `Standing`), classes (scores of each), confused (the most frequent mistakes), unreadable (why)
    Raises   DataError where the data has classes that the model does not know, or pictures that cannot be
             read unless these are skipped.
    """
    dataset = open_dataset(data, group_by=group_by)
    for line in passed_over_news(dataset):
        watch.say(line)
    with watch.progress(f"fetching {model}") as progress:
        predictor = open_predictor(model, progress)
    _warn_of_groups(predictor.provenance, group_by, watch)
    with watch.progress("checking pictures") as progress:
        found = survey(dataset, progress)
    require_readable(found, skip_bad)
    for line in unreadable_news(dataset, found):
        watch.say(line)
    to_output = _matching(dataset, predictor.network, model)
    chosen, indices = _part(dataset, found, predictor.provenance, part, watch)
    labels = np.array([to_output[dataset.pictures[index].label] for index in indices], np.int64)
    logits = _outputs(predictor, dataset, indices, watch)
    matrix, classes = confusion(logits, labels), predictor.network.classes
    worth = report.standing(matrix)
    return {
        "part": chosen,
        **scored(logits, labels),
        "top5_accuracy": report.top_accuracy(logits, labels),
        "balanced_accuracy": report.balanced_accuracy(matrix),
        "cautions": _cautions(worth, predictor) if worth else [],
        "at_chance": worth is not None and worth.at_chance,
        "too_few": worth is not None and worth.too_few,
        "misleading": worth is not None and worth.misleading,
        "classes": [
            {"name": name, **scores._asdict()}
            for name, scores in zip(classes, report.per_class(matrix), strict=True)
            if scores.support
        ],
        "confused": _confused(matrix, classes),
        "unreadable": [bad.reason for bad in found.unreadable],
    }


def _cautions(worth: report.Standing, predictor: Predictor) -> list[str]:
    """What has to stand beside the accuracy. Only what was trained here can be trained anew."""
    training = predictor.provenance.get("training")
    weighted = training.get("class_weights") if isinstance(training, dict) else None
    return worth.sentences(
        predictor.network.input.height,
        aspect=predictor.network.preprocess.aspect,
        weighted=weighted if isinstance(weighted, bool) else None,
        again=isinstance(predictor.provenance.get("data"), dict),
    )


def _outputs(
    predictor: Predictor, dataset: Dataset, indices: Sequence[int], watch: Watch
) -> NDArray[np.float32]:
    """Logits of the pictures at `indices`; however many there are, few of them are in memory at once."""
    network = predictor.network

    def read(index: int) -> Pixels:
        picture = dataset.pictures[index].read(network.input.channels)
        return resize(picture, network.input, network.preprocess)

    logits = np.empty((len(indices), network.num_classes), np.float32)
    with watch.progress("predicting") as progress:
        for row, output in enumerate(predictor.outputs(indices, read)):
            if isinstance(output, PictureError):
                raise output
            logits[row] = output
            progress(row + 1, len(indices))
    return logits


def _confused(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The most frequent mistakes: true class, predicted class, how many pictures, and of how many."""
    wrong = matrix - np.diag(np.diagonal(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = ((int(cell) // len(classes), int(cell) % len(classes)) for cell in order)
    return [
        {
            "true": classes[true],
            "predicted": classes[predicted],
            "n": int(wrong[true, predicted]),
            "of": int(matrix[true].sum()),
        }
        for true, predicted in pairs
        if wrong[true, predicted]
    ]


def _warn_of_groups(provenance: Mapping[str, Any], group_by: str | None, watch: Watch) -> None:
    """Say where the split cannot be the training's. A pattern from a file is shown, and never run."""
    recorded = provenance.get("data")
    pattern = recorded.get("group_by") if isinstance(recorded, dict) else None
    if isinstance(pattern, str) and pattern != group_by:
        watch.say(f"the training kept groups together: --group-by {shlex.quote(pattern)} finds its test part")


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
    elif part in ("val", "test") and trained_on and not same_pictures:
        watch.say("not the pictures of the training: some of this part may have been trained on")
    if part == "all":
        return "all", tuple(index for index, seen in enumerate(found.decoded) if seen)
    indices = part_of(split(dataset, found, seed if isinstance(seed, int) else 0), part)
    if not indices:
        raise DataError(f"{dataset.name} has no pictures in its {part} part")
    return f"the {part} part", indices


def _has_test_part(dataset: Dataset, found: Survey, trained_on: Mapping[str, Any], seed: object) -> bool:
    """Whether the data, split as they were for training, give the test part that was kept back."""
    test = split(dataset, found, seed if isinstance(seed, int) else 0).test
    return bool(trained_on.get("test_fingerprint") == fingerprint(dataset, found, set(test)))
