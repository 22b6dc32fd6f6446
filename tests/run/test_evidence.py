import base64
import dataclasses
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import smidgen
from smidgen import modelfile, report
from smidgen.machine import machine_name
from smidgen.modules import create
from smidgen.run import Fitted, Job, fit, train_one
from smidgen.run.contest import Outcome
from smidgen.run.evidence import Winner, _embedded, write_run
from smidgen.run.plan import Plan, Rung, Trial
from smidgen.run.record import Record
from smidgen.scaling.costing import PROVENANCE_RESERVE
from smidgen.seal import sealed
from smidgen.train.material import prepare
from smidgen.train.metrics import EpochRow
from smidgen.train.predict import open_predictor
from smidgen.train.recipe import recipe
from smidgen.train.scoring import score
from smidgen.watch import Watch
from tiny_run import BUDGET


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


def test_wide_pictures_are_squashed_and_report_card_model_file_and_eval_know_it(
    shapes: Path, tmp_path: Path
) -> None:
    data = tmp_path / "wide"
    for path in shapes.rglob("*.png"):
        target = data / path.relative_to(shapes)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            picture.resize((32, 16)).save(target)
    job = Job(str(data), out=tmp_path / "run", epochs=1)
    done = train_one(job, lambda _: smidgen.network("resnet20", num_classes=3, resolution=16), None, Watch())
    source, test = done.report["provenance"], done.report["test"]
    assert source is not None
    assert source["data"] is not None
    assert test is not None
    assert (source["data"]["aspect"], source["data"]["cut_away"]) == ("squash", 0.5)
    model = done.folder / "model.safetensors"
    assert modelfile.read(model).network.preprocess.aspect == "squash"
    for name in ("report.html", "model_card.md"):
        assert "both sides resized (squashed)" in (done.folder / name).read_text("utf-8")
    assert score(str(model), str(data), part="test", watch=Watch())["accuracy"] == test["accuracy"]


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


def test_what_the_run_was_and_came_to_stands_in_the_report(shapes: Path, tmp_path: Path) -> None:
    material = prepare(str(shapes), seed=0, watch=Watch())
    network = material.fitted(
        smidgen.network("resnet20", num_classes=3, resolution=material.resolution, c_in=material.channels)
    )
    trials = (
        Trial(network, recipe("small"), teacher="b"),
        Trial(dataclasses.replace(network, name="other"), recipe("small")),
    )
    teacher = Trial(dataclasses.replace(network, name="b"), recipe("small"))
    plan = Plan(trials, (Rung(1.0, 1),), teacher)
    rung: dict[str, Any] = {"epochs": 1, "candidates": 2, "spearman": 0.5}
    last = EpochRow(1, 1, 0.1, 1.0, 0.5, 1.0, 0.5, 0.5, 1.0)
    outcome = Outcome(0, ((last,), ()), (rung,), {1: "it went wrong"}, taught_by=last)
    job = Job(str(shapes), time_limit=60.0, command="smidgen fit …")
    kept = Record(job, None, plan, material.arrangement, 1, 1, ("one", "two"))
    document = write_run(tmp_path, kept, material, Winner(outcome, create(network), {"device": "x"}), Watch())
    contest = {"eta": 3, "rungs": [rung], "note": "other: it went wrong"}
    taught = {"name": "b", "params": network.cost().params, "val_accuracy": 0.5}
    start = {"kind": "teacher", "weights": None, "teacher": taught}
    assert document["contest"] == contest
    assert document["starting_point"] == start
    assert document["provenance"]
    assert document["provenance"]["time_limit_s"] == 60
    assert document["provenance"]["starts"] == ["one", "two"]
    assert document["provenance"]["machine"] == {"processor": machine_name(), "device": "x"}
    assert document["provenance"]["command"] == "smidgen fit …"
    assert [row["chosen"] for row in document["candidates"] or []] == [True, False]


@pytest.mark.parametrize("alike", [True, False])
def test_the_model_file_says_whether_the_classes_counted_alike(alike: bool, fitted: Fitted) -> None:
    provenance: Any = fitted.report["provenance"]
    provenance = {**provenance, "recipe": {**provenance["recipe"], "class_weights": alike}}
    assert _embedded(provenance, {}, None)["training"] == {"class_weights": alike}
    told = modelfile.read(fitted.folder / "model.safetensors").provenance["training"]
    assert told == {"class_weights": False}  # as the run was asked
