import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen import families, images
from smidgen.modules import create, load, save
from smidgen.predict import Predictor
from smidgen.run import Fitted
from smidgen.spec import ModelFileError, Shape, SmidgenError, UnknownNameError
from smidgen.train.pixels import normalise, to_unit
from smidgen.train.predict import forward_of, open_predictor


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


def test_a_network_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=2, resolution=16)
    network = dataclasses.replace(network, input=Shape(3, 1 << 23, 1 << 23))
    save(tmp_path / "m.safetensors", network, create(network))
    with pytest.raises(ModelFileError, match="pixels, above the limit of 67,108,864"):
        open_predictor(str(tmp_path / "m.safetensors"))


def test_numpy_normalises_to_the_bits_that_torch_trained_on() -> None:
    pictures = np.arange(256 * 3, dtype=np.uint32).astype(np.uint8).reshape(1, 16, 16, 3)
    for name in ("efficientnet_b0", "efficientnet_lite0"):
        preprocess = families.network(name).preprocess
        expected = normalise(to_unit(torch.from_numpy(pictures)), preprocess).contiguous().numpy()
        assert images.normalise(pictures, preprocess).tobytes() == expected.tobytes()


def test_predicting_leaves_the_module_and_torch_as_they_were(fitted: Fitted, shapes: Path) -> None:
    network, model = load(fitted.folder / "model.safetensors")
    before = Predictor(network, forward_of(model)).rank(shapes / "circle" / "000.png")
    model.train()
    threads = torch.get_num_threads()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = Predictor(network, forward_of(model, threads=3)).rank(shapes / "circle" / "000.png")
    assert dict(after) == pytest.approx(dict(before))
    assert model.training
    assert torch.get_num_threads() == threads
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
