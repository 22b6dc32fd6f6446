import numpy as np
import pytest
import torch

from smidgen import images
from smidgen.graph import Preprocess
from smidgen.spec import DataError
from smidgen.train.pixels import Examples, normalise, to_unit


@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_equals_that_of_prediction_bit_for_bit(channels: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 5, 4, channels), dtype=np.uint8)
    preprocess = Preprocess(5, mean=(0.485, 0.456, 0.406)[:channels], std=(0.229, 0.224, 0.225)[:channels])
    ours = normalise(to_unit(torch.from_numpy(pictures)), preprocess)
    np.testing.assert_array_equal(ours.numpy(), images.normalise(pictures, preprocess))


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_see_channels_last_in_grey_too(channels: int) -> None:
    unit = torch.rand(4, channels, 6, 6)
    x = normalise(unit, Preprocess(6, mean=(0.0,) * channels, std=(1.0,) * channels))
    assert torch.equal(x, unit)
    y = torch.nn.Conv2d(channels, 8, 3)(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert not y.is_contiguous()


@pytest.mark.parametrize(
    ("pictures", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 1)), np.zeros(2, np.int64), "float64"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), r"uint8\[N, h, w, C\] is needed"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64), r"int64\[2\] is needed"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.array([0, -1]), "label -1"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    pictures: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Examples(pictures, labels)
