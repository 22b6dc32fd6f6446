"""Packed weights are shared by programs of all sizes, and never taken for others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import smidgen
from smidgen import Engine, native
from smidgen.engine.packing import Packed
from smidgen.program import draw_weights

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")


def picture(side: int) -> NDArray[np.float32]:
    return np.random.default_rng(side).standard_normal((1, 3, side, side), np.float32)


@pytest.mark.parametrize("name", ["shiftnet_c", "resnet20", "efficientnet_b0"])
def test_an_engine_answers_at_every_size_as_one_that_knows_no_other(name: str) -> None:
    # At 65 pixels ShiftNet's maps are odd, and no pixel is left out; ResNet's smaller maps are done directly.
    network = smidgen.network(name, num_classes=5, resolution=64)
    weights = draw_weights(network)
    engine = Engine((network, weights), threads=1)
    for side in (65, 32, 64, 65):
        alone = Engine((network, weights), threads=1)
        assert engine(picture(side)).tobytes() == alone(picture(side)).tobytes()


def test_another_size_packs_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = smidgen.network("efficientnet_b0", num_classes=5, resolution=64)
    engine = Engine((network, draw_weights(network)), threads=1)

    def refuse(*_: object) -> None:
        raise AssertionError("packed again")

    monkeypatch.setattr(Packed, "_pack", refuse)
    engine(picture(96))
    with pytest.raises(AssertionError, match="packed again"):
        Engine((network, draw_weights(network)), threads=1)
