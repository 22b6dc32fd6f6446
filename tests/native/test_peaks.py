"""What the machine can do at most is more than anything here does."""

import pytest

import smidgen
from smidgen import Engine, native
from smidgen.engine.drawn import draw_weights

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")


def test_no_direct_convolution_passes_the_peak() -> None:
    network = smidgen.network("resnet20", resolution=32)
    steps = Engine((network, draw_weights(network)), threads=1).profile(repeats=20)
    direct = [step for step in steps if step.work.kind == "conv"]
    assert 0 < max(step.share for step in direct) < 1.3  # timed a moment apart
    assert all(step.peak == native.arithmetic(1) for step in steps)


def test_copies_are_of_this_century_and_of_this_machine() -> None:
    assert 0.5 < native.copies(1) < 2000
