import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smidgen import families
from smidgen.modules import create, load, save
from smidgen.search import Fitted
from smidgen.spec import ModelFileError, PictureError, SmidgenError, UnknownNameError
from smidgen.train.predict import open_predictor


def test_ranks_are_the_softmax_of_the_model_sorted(fitted: Fitted, shapes: Path) -> None:
    path = fitted.folder / "model.safetensors"
    picture = shapes / "circle" / "000.png"
    ranked = open_predictor(str(path)).rank(picture)
    network, model = load(path)
    mean, std = (np.array(values) for values in (network.preprocess.mean, network.preprocess.std))
    x = ((np.asarray(Image.open(picture)) / 255 - mean) / std).transpose(2, 0, 1)[None]
    with torch.no_grad():
        expected = model(torch.tensor(x, dtype=torch.float32)).softmax(1)[0]
    assert {answer.name for answer in ranked} == set(network.classes)
    for answer in ranked:
        assert answer.probability == pytest.approx(
            float(expected[network.classes.index(answer.name)]), abs=1e-5
        )
    assert [answer.probability for answer in ranked] == sorted(expected.tolist(), reverse=True)
    assert sum(answer.probability for answer in ranked) == pytest.approx(1)


def test_classes_without_names_are_numbers(tmp_path: Path, shapes: Path) -> None:
    network = families.network("resnet20", num_classes=4, resolution=16)
    save(tmp_path / "m.safetensors", network, create(network))
    ranked = open_predictor(str(tmp_path / "m.safetensors")).rank(shapes / "circle" / "000.png")
    assert {answer.name for answer in ranked} == {"0", "1", "2", "3"}


def test_a_grey_network_takes_colour_pictures_of_any_size(tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=2, c_in=1, resolution=16)
    save(tmp_path / "m.safetensors", dataclasses.replace(network, classes=("a", "b")), create(network))
    Image.new("RGB", (300, 41), "red").save(tmp_path / "p.png")
    assert len(open_predictor(str(tmp_path / "m.safetensors")).rank(tmp_path / "p.png")) == 2


def test_a_broken_picture_is_a_picture_error(fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PictureError, match=r"p\.png"):
        open_predictor(str(fitted.folder / "model.safetensors")).rank(tmp_path / "p.png")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match="no file and no network 'efficientnt_b0'; did you mean efficientnet_b0"
    ):
        open_predictor("efficientnt_b0")


@pytest.mark.parametrize("model", ["missing.safetensors", "a/b", "."])
def test_what_looks_like_a_path_is_answered_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError):
        open_predictor(model)


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(SmidgenError, match="shiftnet_a has no published weights"):
        open_predictor("shiftnet_a")
