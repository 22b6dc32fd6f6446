import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.graph.network import Preprocess
from smidgen.images import normalise
from smidgen.spec import ShapeError

IMAGENET = Preprocess(256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_equals_the_formula_in_double_precision(n: int, height: int, width: int, seed: int) -> None:
    batch = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3)).astype(np.uint8)
    expected = (batch / 255.0 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    result = normalise(batch, IMAGENET)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, expected.transpose(0, 3, 1, 2), rtol=1e-6, atol=1e-6)


def test_grey_takes_one_mean_and_leaves_the_bytes_alone() -> None:
    batch = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    result = normalise(batch, Preprocess(8, mean=(0.5,), std=(0.5,)))
    np.testing.assert_array_equal(result, np.array([-1, 1], np.float32).reshape(1, 1, 1, 2))
    np.testing.assert_array_equal(batch.ravel(), [0, 255])


def test_a_mean_for_other_channels_is_refused() -> None:
    with pytest.raises(ShapeError, match="3 means and 3 deviations for pictures of 1 channels"):
        normalise(np.zeros((1, 2, 2, 1), np.uint8), IMAGENET)
