"""Softmax against its definition in float64, on the native kernels and without."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen import native
from smidgen.predict.softmax import softmax


@pytest.fixture(params=["native", "numpy"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setattr(native, "missing", lambda: "the native library was not built")
    elif native.missing():
        pytest.skip(native.missing())


@pytest.mark.parametrize("classes", [1, 2, 7, 10, 1000, 21841])
@pytest.mark.parametrize("spread", [0.1, 5, 30, 1e4])
def test_probabilities_are_as_right_as_is_said(classes: int, spread: float) -> None:
    x = (np.random.default_rng(0).standard_normal((20, classes)) * spread).astype(np.float32)
    exact = x.astype(np.float64)
    powers = np.exp(exact - exact.max(1, keepdims=True))
    wanted = powers / powers.sum(1, keepdims=True)
    error = np.abs(softmax(x) - wanted)
    assert (error <= wanted * np.where(wanted >= 1e-6, 5e-6, 2e-5) + 1e-37).all()


def test_huge_numbers_and_equal_ones_are_probabilities_too() -> None:
    found = softmax(np.array([[1e38, -1e38], [-3e38, -3e38]], np.float32))
    assert np.allclose(found, np.array([[1, 0], [0.5, 0.5]]))


def test_rows_may_lie_anywhere_and_there_may_be_none() -> None:
    x = np.random.default_rng(0).standard_normal((6, 40)).astype(np.float32)
    assert np.array_equal(softmax(x[::2, 1::3]), softmax(x[::2, 1::3].copy()))
    assert softmax(x[:0]).shape == (0, 40)
