import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from smidgen.graph.network import Interpolation, Preprocess
from smidgen.images import Pixels, resize_crop
from smidgen.spec import Shape, ShapeError

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return (
        np.random.default_rng(height * 1000 + width)
        .integers(0, 256, (height, width, channels))
        .astype(np.uint8)
    )


def resize_then_centre_crop(
    picture: Pixels, resize: int, height: int, width: int, how: Interpolation
) -> Pixels:
    """Resize and CenterCrop as torchvision documents them, written out with Pillow alone."""
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    if image.width <= image.height:
        size = (resize, int(resize * image.height / image.width))
    else:
        size = (int(resize * image.width / image.height), resize)
    image = image.resize(size, RESAMPLING[how])
    left, top = round((size[0] - width) / 2.0), round((size[1] - height) / 2.0)
    cut = image.crop((left, top, left + width, top + height))
    return np.asarray(cut).reshape(height, width, picture.shape[2])


sides = st.integers(1, 90)


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.sampled_from([1, 3]), sides, sides, sides, st.sampled_from(["bilinear", "bicubic"]))
def test_equals_pillow_resize_then_centre_crop(
    height: int, width: int, channels: int, resize: int, crop_height: int, crop_width: int, how: Interpolation
) -> None:
    assume(crop_height <= resize and crop_width <= resize)
    picture = noise(height, width, channels)
    result = resize_crop(picture, Shape(channels, crop_height, crop_width), Preprocess(resize, how))
    np.testing.assert_array_equal(
        result, resize_then_centre_crop(picture, resize, crop_height, crop_width, how)
    )


@settings(max_examples=200, deadline=None)
@given(sides, sides, sides, sides, sides)
def test_any_picture_fits_any_crop_after_any_resize(
    height: int, width: int, resize: int, crop_height: int, crop_width: int
) -> None:
    result = resize_crop(noise(height, width), Shape(3, crop_height, crop_width), Preprocess(resize))
    assert result.shape == (crop_height, crop_width, 3)
    assert result.dtype == np.uint8


@given(sides, sides)
def test_a_picture_of_the_right_size_is_untouched(height: int, width: int) -> None:
    picture = noise(height, width)
    result = resize_crop(picture, Shape(3, height, width), Preprocess(min(height, width), "bicubic"))
    np.testing.assert_array_equal(result, picture)
    assert not np.shares_memory(result, picture)


def test_a_picture_of_the_right_shorter_side_is_only_cut() -> None:
    picture = noise(8, 13)
    np.testing.assert_array_equal(resize_crop(picture, Shape(3, 8, 8), Preprocess(8)), picture[:, 2:10])


def test_a_crop_past_the_resized_picture_resizes_until_it_covers() -> None:
    flat = np.full((10, 10, 1), 77, np.uint8)
    result = resize_crop(flat, Shape(1, 32, 24), Preprocess(16))
    np.testing.assert_array_equal(result, np.full((32, 24, 1), 77))  # nothing padded


def test_a_resize_down_is_antialiased() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None]
    result = resize_crop(board, Shape(1, 8, 8), Preprocess(8))
    assert np.abs(result.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (2, 60_000)])
def test_a_ribbon_needs_no_more_memory_than_its_crop(size: tuple[int, int]) -> None:
    ribbon = np.full((*size, 3), 9, np.uint8)  # resized as a whole it would have 4 billion pixels
    np.testing.assert_array_equal(
        resize_crop(ribbon, Shape(3, 224, 224), Preprocess(256)), np.full((224, 224, 3), 9)
    )


def test_the_window_of_a_ribbon_lies_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, shape, preprocess = noise(20, 200), Shape(3, 24, 24), Preprocess(30)
    whole = resize_crop(picture, shape, preprocess)
    monkeypatch.setattr("smidgen.images.resize.MAX_PIXELS", 100)
    window = resize_crop(picture, shape, preprocess)
    assert np.abs(window.astype(int) - whole).max() <= 1  # the same filter on the same pixels, to rounding


def test_channels_must_be_the_shape_s() -> None:
    with pytest.raises(ShapeError, match="3 channels met a network for 1"):
        resize_crop(noise(4, 4), Shape(1, 4, 4), Preprocess(4))
