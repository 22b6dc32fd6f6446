import base64
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import smidgen
from smidgen import modelfile, report
from smidgen.modules import create
from smidgen.run import Fitted, Job, fit
from smidgen.scaling.costing import PROVENANCE_RESERVE
from smidgen.seal import sealed
from smidgen.train.evidence import _embedded, evaluated, none_of_these, scored, write_run
from smidgen.train.material import prepare
from smidgen.train.predict import open_predictor
from smidgen.train.recipe import recipe
from smidgen.watch import Watch
from tiny_run import BUDGET


def test_accuracy_and_interval_stand_on_the_counted_pictures() -> None:
    logits = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    labels = np.array([0, 1, 2, 3, 1, 1, 2, 3])
    row = scored(logits, labels)
    assert (row["accuracy"], row["n"]) == (0.875, 8)
    # Wilson 1927, 7 of 8 at 95 %: (p + z²/2n ± z·sqrt(pq/n + z²/4n²)) / (1 + z²/n)
    z, p, n = 1.959964, 0.875, 8
    centre, spread = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    expected = [(centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)]
    assert row["interval"] == pytest.approx(expected, abs=1e-6)


def test_the_confusion_matrix_and_the_mistakes_agree(shapes: Path, tmp_path: Path) -> None:
    done = fit(Job(str(shapes), out=tmp_path / "run", epochs=1), BUDGET, Watch(), ("resnet",))
    confusion, test = np.array(done.report["confusion"]), done.report["test"]
    assert test is not None
    assert np.trace(confusion) / confusion.sum() == test["accuracy"]
    mistakes = done.report["mistakes"] or []
    assert len(mistakes) == confusion.sum() - np.trace(confusion) > 0  # after one epoch there are some
    predictor = open_predictor(str(done.folder / "model.safetensors"))
    for mistake in mistakes:
        assert mistake["name"].partition("/")[0] == mistake["true"] != mistake["predicted"]
        best = predictor.rank(shapes / mistake["name"])[0]
        assert best.name == mistake["predicted"]
        assert best.probability == pytest.approx(mistake["confidence"], abs=1e-5)
        png = Image.open(io.BytesIO(base64.b64decode(mistake["png_base64"] or "")))
        np.testing.assert_array_equal(np.asarray(png), np.asarray(Image.open(shapes / mistake["name"])))
    confidences = [mistake["confidence"] for mistake in mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_the_next_commands_name_files_that_exist(fitted: Fitted, shapes: Path) -> None:
    commands = [shlex.split(command) for command in fitted.report["next_commands"] or []]
    assert [command[:2] for command in commands] == [
        ["smidgen", "predict"],
        ["smidgen", "eval"],
        ["smidgen", "show"],
    ]
    assert all(Path(word).exists() for command in commands for word in command[2:])


def test_the_reserve_for_provenance_covers_what_is_written(fitted: Fitted) -> None:
    path = fitted.folder / "model.safetensors"
    bare = modelfile.weight_bytes(fitted.network)
    assert bare < path.stat().st_size < bare + PROVENANCE_RESERVE


def test_what_is_tested_beyond_accuracy_comes_from_the_logits() -> None:
    # Two classes of six hold pictures: three of four and one of two are called right, with 9/14 each.
    logits = np.log(9.0) * np.eye(6, dtype=np.float32)[[0, 0, 0, 5, 1, 5]]
    row = evaluated(logits, np.array([0, 0, 0, 0, 1, 1]))
    assert row["accuracy"] == pytest.approx(4 / 6)
    assert row["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    # Ties rank by index, so class 0 or 1 is always among the first five.
    assert row["top5_accuracy"] == 1.0
    assert row["calibration_error"] == pytest.approx(4 / 6 - 9 / 14, abs=1e-6)


def test_none_of_these_says_how_many_are_kept_and_right() -> None:
    # Maximum probabilities 0.55, 0.56, …, 0.74 of twenty pictures; the least sure is the one that is wrong.
    high = np.linspace(0.55, 0.74, 20)
    logits = np.log(np.stack([high, 1 - high], 1)).astype(np.float32)
    row = none_of_these(logits, np.array([1] + [0] * 19))
    assert row is not None
    assert row["threshold"] == pytest.approx(0.56, abs=2e-6)
    assert (row["kept"], row["n"], row["kept_accuracy"]) == (0.95, 20, 1.0)
    assert row["score"] == "maximum softmax probability"
    unlabelled = none_of_these(logits)
    assert unlabelled is not None
    assert unlabelled["kept_accuracy"] is None
    assert none_of_these(np.empty((0, 2), np.float32)) is None


def test_the_threshold_in_the_model_file_is_the_reports_and_keeps_its_share(
    fitted: Fitted, shapes: Path
) -> None:
    path = fitted.folder / "model.safetensors"
    row = fitted.report["none_of_these"]
    assert row is not None
    assert modelfile.read(path).provenance["none_of_these"] == row
    material = prepare(str(shapes), seed=0, watch=Watch())
    files = [shapes / material.dataset.pictures[index].name for index in material.split.val]
    predictor = open_predictor(str(path))
    surest = [predictor.rank(file)[0] for file in files]
    kept = [answer for answer in surest if answer.probability >= row["threshold"]]
    assert len(kept) / len(surest) == row["kept"] >= 0.95
    assert row["n"] == len(surest)


def test_the_run_holds_every_kind_of_evidence(fitted: Fitted) -> None:
    document, folder = fitted.report, fitted.folder
    test, measured, bins = document["test"], document["measured"], document["reliability"]
    assert test
    assert measured
    assert bins
    assert test["top5_accuracy"] is None  # three classes
    assert test["balanced_accuracy"] == report.balanced_accuracy(document["confusion"] or [])
    assert sum(row["n"] for row in bins) == test["n"]
    assert sum(row["n"] * row["accuracy"] for row in bins) / test["n"] == pytest.approx(test["accuracy"])
    assert measured["size_bytes"] == (folder / "model.safetensors").stat().st_size
    for name, row in (("latency", measured["latency_ms"]), ("memory", measured["memory"])):
        assert (row is None) == (f"{name}: " in (measured["note"] or ""))
    assert (folder / "model_card.md").read_text("utf-8") == sealed(report.card(document))
    assert report.read(folder / "report.json") == document


def test_what_the_caller_knows_is_passed_on(shapes: Path, tmp_path: Path) -> None:
    material = prepare(str(shapes), seed=0, watch=Watch())
    network = material.fitted(
        smidgen.network("resnet20", num_classes=3, resolution=material.resolution, c_in=material.channels)
    )
    contest = {"eta": 3.0, "rungs": [{"epochs": 1, "candidates": 3, "spearman": 0.5}], "note": None}
    start = {"kind": "teacher", "weights": None, "teacher": {"name": "b", "params": 9, "val_accuracy": 0.5}}
    document = write_run(
        tmp_path,
        network,
        create(network),
        material,
        [],
        recipe("small"),
        budget=None,
        candidates=[],
        command="smidgen train …",
        watch=Watch(),
        contest=contest,
        starting_point=start,
        time_limit=60.0,
        starts=("one", "two"),
    )
    assert document["contest"] == contest
    assert document["starting_point"] == start
    assert document["provenance"]
    assert document["provenance"]["time_limit_s"] == 60
    assert document["provenance"]["starts"] == ["one", "two"]


def test_the_threshold_is_what_most_of_the_pictures_reach() -> None:
    refusal = none_of_these(np.array([[0, 0, 9], [0, 0, 9]], np.float32))
    assert refusal
    assert (refusal["n"], refusal["kept"], refusal["kept_accuracy"]) == (2, 1.0, None)
    assert refusal["threshold"] == pytest.approx(np.exp(9) / (np.exp(9) + 2), abs=2e-6)


@pytest.mark.parametrize("alike", [True, False])
def test_the_model_file_says_whether_the_classes_counted_alike(alike: bool, fitted: Fitted) -> None:
    provenance: Any = fitted.report["provenance"]
    provenance = {**provenance, "recipe": {**provenance["recipe"], "class_weights": alike}}
    assert _embedded(provenance, {}, None)["training"] == {"class_weights": alike}
    told = modelfile.read(fitted.folder / "model.safetensors").provenance["training"]
    assert told == {"class_weights": False}  # as the run was asked
