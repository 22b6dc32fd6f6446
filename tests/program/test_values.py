"""What maps and weights say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

import smidgen
from smidgen.program import Conv, Depthwise, Map, Weight, Weights, draw_weights, lower
from smidgen.spec import Shape


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("int8", 1), ("uint8", 1), ("int32", 4)])
def test_a_map_takes_as_many_bytes_as_its_type_says(dtype: str, size: int) -> None:
    assert Map(Shape(3, 5, 7), np.dtype(dtype)).bytes == 105 * size
    assert Weight(np.ones(3, dtype)).dtype == dtype


def test_a_weights_scale_belongs_to_its_output_channels() -> None:
    weight = Weight(np.ones((3, 2, 1, 1), np.int8), np.array([1, 2, 4], np.float32))
    assert weight.numbers[:, :, 0, 0].tolist() == [[1, 1], [2, 2], [4, 4]]
    assert weight.some([2, 0]).numbers[:, 0, 0, 0].tolist() == [4, 1]
    assert Weight(weight.array).some([1]).scale is None


def test_numbers_without_a_scale_are_the_array_itself() -> None:
    array = np.ones(3, np.float32)
    assert Weight(array).numbers is array


def test_lowering_copies_no_weights_and_shares_what_it_makes_of_them() -> None:
    network = smidgen.network("efficientnet_b0", resolution=64)
    tensors = draw_weights(network)
    weights = Weights(tensors)
    one, other = (lower(network, weights, Shape(3, side, side)) for side in (64, 96))
    for step, same in zip(one.steps, other.steps, strict=True):
        if isinstance(step, Conv | Depthwise) and isinstance(same, Conv | Depthwise):
            assert np.shares_memory(step.weight.array, tensors[f"{step.layer}.weight"])
            assert same.weight is step.weight
            assert same.bias is step.bias


def test_a_norm_behind_a_convolution_is_its_scale_and_its_bias() -> None:
    network = smidgen.network("resnet20", num_classes=2, resolution=32)
    tensors = draw_weights(network)
    stem = lower(network, tensors).steps[0]
    assert isinstance(stem, Conv)
    norm = next(name.rpartition(".")[0] for name in tensors if name.endswith("running_var"))
    tensors[f"{norm}.weight"][:] = 3
    tensors[f"{norm}.bias"][:] = 5
    tensors[f"{norm}.running_mean"][:] = 2
    tensors[f"{norm}.running_var"][:] = 0.25
    folded = lower(network, tensors).steps[0]
    assert isinstance(folded, Conv)
    assert folded.weight.array is stem.weight.array
    assert folded.weight.scale is not None
    assert folded.bias is not None
    # Ioffe and Szegedy 2015: (x - 2) / sqrt(0.25 + eps) * 3 + 5, eps 1e-5
    np.testing.assert_allclose(folded.weight.scale, 6, rtol=1e-4)
    np.testing.assert_allclose(folded.bias.numbers, 5 - 2 * 6, rtol=1e-4)
