import dataclasses
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen import families, modelfile, report
from smidgen.modelfile import ModelFile
from smidgen.modules import create, save
from smidgen.run import Fitted
from smidgen.spec import DataError, SmidgenError
from smidgen.train.predict import open_predictor
from smidgen.train.scoring import MOST_CONFUSED, _cautions, _confused, score
from smidgen.watch import Watch
from tiny_run import CLASSES


def scored(fitted: Fitted, data: Path, part: Any = "auto") -> dict[str, Any]:
    return score(str(fitted.folder / "model.safetensors"), str(data), part=part, watch=Watch())


def refusal(model: object, data: object) -> str:
    with pytest.raises(SmidgenError) as caught:
        score(str(model), str(data), watch=Watch())
    message = str(caught.value)
    assert message.isprintable()
    return message


def with_provenance(fitted: Fitted, path: Path, provenance: dict[str, Any]) -> Path:
    file = modelfile.read(fitted.folder / "model.safetensors")
    modelfile.write(path, ModelFile(file.network, file.tensors, provenance))
    return path


def test_its_own_data_are_scored_on_the_test_part_as_in_the_report(fitted: Fitted, shapes: Path) -> None:
    result, test = scored(fitted, shapes), fitted.report["test"]
    assert test is not None
    assert result["part"] == "the test part"
    for key in ("accuracy", "interval", "n"):
        assert result[key] == test[key]


def test_a_copy_elsewhere_counts_as_the_same_data(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shapes, tmp_path / "other name")
    for path in list(copy.rglob("*.png")):
        path.rename(path.with_stem(f"renamed{path.stem}"))
    assert scored(fitted, copy)["part"] == "the test part"


def test_other_data_are_scored_whole(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shapes, tmp_path / "other")
    (other / "circle" / "000.png").unlink()
    result = scored(fitted, other)
    assert (result["part"], result["n"]) == ("all", 59)


def test_the_parts_add_up_to_all(fitted: Fitted, shapes: Path) -> None:
    parts = [scored(fitted, shapes, part) for part in ("train", "val", "test")]
    whole = scored(fitted, shapes, "all")
    assert sum(part["n"] for part in parts) == whole["n"] == 60
    right = sum(round(part["accuracy"] * part["n"]) for part in parts)
    assert right == round(whole["accuracy"] * 60)


def test_scores_by_class_are_those_of_counting(fitted: Fitted, shapes: Path) -> None:
    predictor = open_predictor(str(fitted.folder / "model.safetensors"))
    pairs = [(path.parent.name, predictor.rank(path)[0].name) for path in sorted(shapes.rglob("*.png"))]
    result = scored(fitted, shapes, "all")
    assert result["accuracy"] == sum(true == said for true, said in pairs) / 60
    recalls = []
    for row in result["classes"]:
        said = [true for true, said in pairs if said == row["name"]]
        hits = said.count(row["name"])
        assert row["support"] == 20
        assert row["recall"] == pytest.approx(hits / 20)
        assert row["precision"] == (pytest.approx(hits / len(said)) if said else None)
        recalls.append(hits / 20)
    assert result["balanced_accuracy"] == pytest.approx(sum(recalls) / 3)


def test_classes_are_matched_by_name_not_by_order(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    for name in CLASSES[1:]:
        shutil.copytree(shapes / name, tmp_path / "two" / name)
    whole = {row["name"]: row for row in scored(fitted, shapes, "all")["classes"]}
    two = {row["name"]: row for row in scored(fitted, tmp_path / "two")["classes"]}
    assert set(two) == set(CLASSES[1:])
    assert all(two[name]["recall"] == whole[name]["recall"] for name in two)


def test_a_class_that_the_model_does_not_know_is_refused(
    fitted: Fitted, shapes: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(shapes, tmp_path / "other")
    (other / "cross").rename(other / "star")
    message = refusal(fitted.folder / "model.safetensors", other)
    assert "does not know the class 'star' of other" in message
    assert "circle, cross, square" in message


def test_a_model_without_class_names_cannot_be_scored(shapes: Path, tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=3, resolution=16)
    save(tmp_path / "m.safetensors", network, create(network))
    assert "does not know the names of its classes" in refusal(tmp_path / "m.safetensors", shapes)


def test_a_grey_network_scores_colour_pictures(shapes: Path, tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=3, c_in=1, resolution=16)
    save(tmp_path / "m.safetensors", dataclasses.replace(network, classes=CLASSES), create(network))
    assert score(str(tmp_path / "m.safetensors"), str(shapes), watch=Watch())["n"] == 60


@pytest.mark.parametrize(
    "provenance",
    [{}, {"data": None}, {"data": "x"}, {"data": [1]}, {"seed": "x", "data": {"fingerprint": 3}}],
)
def test_strange_provenance_means_other_data(
    fitted: Fitted, shapes: Path, tmp_path: Path, provenance: dict[str, Any]
) -> None:
    path = with_provenance(fitted, tmp_path / "m.safetensors", provenance)
    assert score(str(path), str(shapes), watch=Watch())["part"] == "all"


def test_a_strange_seed_does_not_stop_the_scoring(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    file = modelfile.read(fitted.folder / "model.safetensors")
    path = with_provenance(fitted, tmp_path / "m.safetensors", {**file.provenance, "seed": [1]})
    assert score(str(path), str(shapes), watch=Watch())["n"] == 9


def test_the_data_are_looked_at_before_weights_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    assert "no folder, CSV or set 'nowhere'" in refusal("efficientnet_b0", "nowhere")


def test_bad_pictures_stop_the_scoring_unless_skipped(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shapes, tmp_path / "other")
    (other / "cross" / "bad.png").write_text("no")
    model = str(fitted.folder / "model.safetensors")
    with pytest.raises(DataError, match="--skip-bad"):
        score(model, str(other), watch=Watch())
    assert score(model, str(other), skip_bad=True, watch=Watch())["n"] == 9  # the rest are its own data


def test_own_pictures_split_in_another_way_are_not_taken_for_the_test_part(
    fitted: Fitted, shapes: Path, tmp_path: Path
) -> None:
    for index, path in enumerate(sorted(shapes.rglob("*.png"))):
        part = "test" if index % 3 == 0 else "train"
        target = tmp_path / "shapes" / part / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    heard: list[str] = []

    class Listener(Watch):
        def say(self, text: str) -> None:
            heard.append(text)

    model = str(fitted.folder / "model.safetensors")
    assert score(model, str(tmp_path / "shapes"), watch=Listener())["part"] == "all"
    assert any("training pictures" in line for line in heard)


# ── where the mistakes are ───────────────────────────────────────────────────────────────────────────


def test_the_most_confused_pairs_are_those_of_counting(fitted: Fitted, shapes: Path) -> None:
    predictor = open_predictor(str(fitted.folder / "model.safetensors"))
    pairs = Counter(
        (path.parent.name, predictor.rank(path)[0].name) for path in sorted(shapes.rglob("*.png"))
    )
    result = scored(fitted, shapes, "all")
    found = {(row["true"], row["predicted"]): row["n"] for row in result["confused"]}
    assert found == {pair: n for pair, n in pairs.items() if pair[0] != pair[1]}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert all(row["of"] == 20 for row in result["confused"])


def test_confused_pairs_are_sorted_and_few() -> None:
    matrix = np.arange(25).reshape(5, 5)
    rows = _confused(matrix, "abcde")
    assert [(row["true"], row["predicted"], row["n"]) for row in rows[:3]] == [
        ("e", "d", 23), ("e", "c", 22), ("e", "b", 21)
    ]  # fmt: skip
    assert rows[0]["of"] == 20 + 21 + 22 + 23 + 24
    assert len(rows) == MOST_CONFUSED
    assert _confused(np.diag([3, 4, 5]), "abc") == []


def test_the_five_best_count_from_six_classes_on(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    assert scored(fitted, shapes)["top5_accuracy"] is None
    network = families.network("resnet20", num_classes=7, resolution=16)
    network = dataclasses.replace(network, classes=(*CLASSES, *"abcd"))
    path = tmp_path / "m.safetensors"
    save(path, network, create(network))
    predictor = open_predictor(str(path))
    hits = sum(
        picture.parent.name in {name for name, _ in predictor.rank(picture)[:5]}
        for picture in shapes.rglob("*.png")
    )
    result = score(str(path), str(shapes), watch=Watch())
    assert result["top5_accuracy"] == hits / 60 >= result["accuracy"]


def test_the_model_file_is_read_once(fitted: Fitted, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    read = modelfile.read

    def counted(path: str | Path) -> ModelFile:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(modelfile, "read", counted)
    scored(fitted, shapes)
    assert len(reads) == 1


def test_what_is_left_out_is_said(fitted: Fitted, shapes: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shapes, tmp_path / "other")
    (other / "cross" / "bad.png").write_text("no")
    heard: list[str] = []

    class Listener(Watch):
        def say(self, text: str) -> None:
            heard.append(text)

    model = str(fitted.folder / "model.safetensors")
    result = score(model, str(other), skip_bad=True, watch=Listener())
    (reason,) = result["unreadable"]
    assert "bad.png" in reason
    assert f"left out: {reason}" in heard


@pytest.mark.parametrize(
    ("provenance", "weights", "again"),
    [
        ({"data": {}, "training": {"class_weights": False}}, True, True),
        ({"data": {}, "training": {"class_weights": True}}, False, True),
        ({"data": {}}, False, True),  # from before files told of it
        ({}, False, False),  # converted, or published
        ({"data": "x", "training": {"class_weights": "no"}}, False, False),
        ({"data": None, "training": 3}, False, False),
    ],
)
def test_advice_is_what_can_be_followed_and_was_not(
    provenance: dict[str, Any], weights: bool, again: bool, fitted: Fitted, tmp_path: Path
) -> None:
    predictor = open_predictor(str(with_provenance(fitted, tmp_path / "model.safetensors", provenance)))
    rare, chance = report.standing([[1500, 0], [5, 10]]), report.standing([[27, 23], [23, 27]])
    assert rare
    assert chance
    assert ("--class-weights" in " ".join(_cautions(rare, predictor))) == weights
    told = " ".join(_cautions(chance, predictor))
    assert ("--resolution" in told, "--epochs" in told, "budget" in told) == (again,) * 3
