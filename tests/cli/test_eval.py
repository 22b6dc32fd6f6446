import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from command_line import smidgen
from smidgen.run import Fitted
from tiny_run import CLASSES
from tiny_set import files


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Path:
    return fitted.folder / "model.safetensors"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_text_says_what_the_json_says(model: Path, shapes: Path) -> None:
    result = json.loads(smidgen("eval", model, shapes, "--part", "all", "--json").out)
    lines = smidgen("eval", model, shapes, "--part", "all").out.splitlines()
    assert lines[0] == f"{model} on all of {shapes}: {100 * result['accuracy']:.2f} % of 60 pictures"
    table = [line.split() for line in lines if line.split()[0] in CLASSES and "taken for" not in line]
    for row, words in zip(result["classes"], table, strict=True):
        shown = [f"{100 * row[key]:.1f}" for key in ("precision", "recall", "f1") if row[key] is not None]
        assert words == [row["name"], *shown, str(row["support"])]
    for pair in result["confused"]:
        assert f"  {pair['true']} taken for {pair['predicted']}: {pair['n']} of {pair['of']}" in lines
    assert not any("best 5" in line for line in lines)  # of three classes, all are among the best five


def test_the_csv_holds_the_classes_of_the_json(model: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    outcome = smidgen("eval", model, shapes, "--part", "all", "--csv", out, "--json")
    assert (outcome.code, outcome.err) == (0, f"{out}: written\n")
    for row, expected in zip(rows(out.read_text()), json.loads(outcome.out)["classes"], strict=True):
        assert list(row) == ["class", "precision", "recall", "f1", "pictures"]
        assert (row["class"], int(row["pictures"])) == (expected["name"], expected["support"])
        for key in ("precision", "recall", "f1"):
            assert row[key] == ("" if expected[key] is None else repr(expected[key]))
    told = smidgen("eval", model, shapes, "--part", "all", "--csv", "-")
    assert (told.code, told.err, told.out) == (0, "", out.read_text())


def test_bad_pictures_are_refused_or_left_out_and_listed(model: Path, shapes: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shapes, tmp_path / "other")
    (other / "cross" / "bad.png").write_text("no")
    before = files(tmp_path)
    refused = smidgen("eval", model, other, "--csv", tmp_path / "out.csv")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "bad.png" in refused.err
    assert "--skip-bad leaves it out" in refused.err
    assert files(tmp_path) == before
    text = smidgen("eval", model, other, "--skip-bad").out
    assert any("left out: " in line and "bad.png" in line for line in text.splitlines())
    (reason,) = json.loads(smidgen("eval", model, other, "--skip-bad", "--json").out)["unreadable"]
    assert "bad.png" in reason


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--csv", "-", "--json"], "would both print"),
        (["--csv", "nowhere/x.csv"], "no such folder"),
        (["--csv", os.devnull], "not a regular file"),
    ],
)
def test_a_table_that_cannot_be_written_is_refused(
    model: Path,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = smidgen("eval", model, shapes, *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert reason in outcome.err
    assert files(tmp_path) == {}


def test_unbalanced_pictures_have_both_accuracies_in_the_headline(
    model: Path, shapes: Path, tmp_path: Path
) -> None:
    for name in CLASSES:
        shutil.copytree(shapes / name, tmp_path / "one" / name)
        for path in sorted((tmp_path / "one" / name).iterdir())[(20 if name == CLASSES[0] else 1) :]:
            path.unlink()
    result = json.loads(smidgen("eval", model, tmp_path / "one", "--json").out)
    headline, *rest = smidgen("eval", model, tmp_path / "one").out.splitlines()
    assert result["misleading"] == (f", balanced {100 * result['balanced_accuracy']:.2f} %" in headline)
    assert [caution.replace("\u202f", " ") for caution in result["cautions"]] == rest[
        : len(result["cautions"])
    ]
    assert result["misleading"] or result["accuracy"] > 20 / 22
