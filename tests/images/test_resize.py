import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from smidgen.graph.network import Aspect, Interpolation, Preprocess
from smidgen.images import Pixels, resize
from smidgen.spec import Shape, ShapeError

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return (
        np.random.default_rng(height * 1000 + width)
        .integers(0, 256, (height, width, channels))
        .astype(np.uint8)
    )


def resize_then_centre_crop(
    picture: Pixels, shorter: int, height: int, width: int, how: Interpolation
) -> Pixels:
    """Resize and CenterCrop as torchvision documents them, written out with Pillow alone."""
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    if image.width <= image.height:
        size = (shorter, int(shorter * image.height / image.width))
    else:
        size = (int(shorter * image.width / image.height), shorter)
    image = image.resize(size, RESAMPLING[how])
    left, top = round((size[0] - width) / 2.0), round((size[1] - height) / 2.0)
    cut = image.crop((left, top, left + width, top + height))
    return np.asarray(cut).reshape(height, width, picture.shape[2])


sides = st.integers(1, 90)


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.sampled_from([1, 3]), sides, sides, sides, st.sampled_from(["bilinear", "bicubic"]))
def test_equals_pillow_resize_then_centre_crop(
    height: int,
    width: int,
    channels: int,
    shorter: int,
    crop_height: int,
    crop_width: int,
    how: Interpolation,
) -> None:
    assume(crop_height <= shorter and crop_width <= shorter)
    picture = noise(height, width, channels)
    result = resize(picture, Shape(channels, crop_height, crop_width), Preprocess(shorter, how))
    np.testing.assert_array_equal(
        result, resize_then_centre_crop(picture, shorter, crop_height, crop_width, how)
    )


@settings(max_examples=200, deadline=None)
@given(sides, sides, sides, sides, sides)
def test_any_picture_fits_any_crop_after_any_resize(
    height: int, width: int, shorter: int, crop_height: int, crop_width: int
) -> None:
    result = resize(noise(height, width), Shape(3, crop_height, crop_width), Preprocess(shorter))
    assert result.shape == (crop_height, crop_width, 3)
    assert result.dtype == np.uint8


@given(sides, sides)
def test_a_picture_of_the_right_size_is_untouched(height: int, width: int) -> None:
    picture = noise(height, width)
    result = resize(picture, Shape(3, height, width), Preprocess(min(height, width), "bicubic"))
    np.testing.assert_array_equal(result, picture)
    assert not np.shares_memory(result, picture)


def test_a_picture_of_the_right_shorter_side_is_only_cut() -> None:
    picture = noise(8, 13)
    np.testing.assert_array_equal(resize(picture, Shape(3, 8, 8), Preprocess(8)), picture[:, 2:10])


def test_a_crop_past_the_resized_picture_resizes_until_it_covers() -> None:
    flat = np.full((10, 10, 1), 77, np.uint8)
    result = resize(flat, Shape(1, 32, 24), Preprocess(16))
    np.testing.assert_array_equal(result, np.full((32, 24, 1), 77))  # nothing padded


def test_a_resize_down_is_antialiased() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None]
    result = resize(board, Shape(1, 8, 8), Preprocess(8))
    assert np.abs(result.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (2, 60_000)])
def test_a_ribbon_needs_no_more_memory_than_its_crop(size: tuple[int, int]) -> None:
    ribbon = np.full((*size, 3), 9, np.uint8)  # resized as a whole it would have 4 billion pixels
    np.testing.assert_array_equal(
        resize(ribbon, Shape(3, 224, 224), Preprocess(256)), np.full((224, 224, 3), 9)
    )


def test_the_window_of_a_ribbon_lies_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, shape, preprocess = noise(20, 200), Shape(3, 24, 24), Preprocess(30)
    whole = resize(picture, shape, preprocess)
    monkeypatch.setattr(sys.modules["smidgen.images.resize"], "MAX_PIXELS", 100)
    window = resize(picture, shape, preprocess)
    assert np.abs(window.astype(int) - whole).max() <= 1  # the same filter on the same pixels, to rounding


def test_channels_must_be_the_shape_s() -> None:
    with pytest.raises(ShapeError, match="3 channels met a network for 1"):
        resize(noise(4, 4), Shape(1, 4, 4), Preprocess(4))


def as_image(picture: Pixels) -> Image.Image:
    return Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.sampled_from([1, 3]), sides, sides, st.sampled_from(["bilinear", "bicubic"]))
def test_squash_equals_pillows_resize(
    height: int, width: int, channels: int, new_height: int, new_width: int, how: Interpolation
) -> None:
    picture = noise(height, width, channels)
    result = resize(picture, Shape(channels, new_height, new_width), Preprocess(7, how, aspect="squash"))
    wanted = np.asarray(as_image(picture).resize((new_width, new_height), RESAMPLING[how]))
    np.testing.assert_array_equal(result, wanted.reshape(result.shape))


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.sampled_from([1, 3]), sides, sides, st.sampled_from(["bilinear", "bicubic"]))
def test_pad_equals_pillows_pad_with_the_mean_in_bytes(
    height: int, width: int, channels: int, new_height: int, new_width: int, how: Interpolation
) -> None:
    assume(
        min(width / height * new_height, height / width * new_width) > 0.5
    )  # Pillow cannot do less than a pixel
    picture, mean, fill = (
        noise(height, width, channels),
        (0.1, 0.5, 1.0)[:channels],
        (26, 128, 255)[:channels],
    )
    shape, deviation = Shape(channels, new_height, new_width), (1.0,) * channels
    result = resize(picture, shape, Preprocess(7, how, mean, deviation, "pad"))
    colour = fill if channels == 3 else fill[0]
    wanted = ImageOps.pad(as_image(picture), (new_width, new_height), RESAMPLING[how], colour)
    np.testing.assert_array_equal(result, np.asarray(wanted).reshape(result.shape))


@given(sides, sides, st.sampled_from(["squash", "pad"]))
def test_a_picture_of_the_right_size_is_neither_squashed_nor_padded(
    height: int, width: int, aspect: Aspect
) -> None:
    picture = noise(height, width)
    result = resize(picture, Shape(3, height, width), Preprocess(7, "bicubic", aspect=aspect))
    np.testing.assert_array_equal(result, picture)
    assert not np.shares_memory(result, picture)
    result[:] = 0  # its owner may write on it


@pytest.mark.parametrize("aspect", ["squash", "pad"])
@pytest.mark.parametrize("mean", [-0.5, 1.5])
def test_a_mean_that_is_no_colour_fills_with_the_nearest(aspect: Aspect, mean: float) -> None:
    line = np.full((1, 9, 1), 77, np.uint8)
    result = resize(line, Shape(1, 9, 9), Preprocess(9, "bilinear", (mean,), (1.0,), aspect))
    assert result[0, 0, 0] == (77 if aspect == "squash" else 0 if mean < 0 else 255)


@pytest.mark.parametrize("size", [(1, 50_000), (50_000, 1), (2, 70_000), (70_000, 2)])
def test_of_a_ribbon_every_pixel_counts_where_it_is_squashed(size: tuple[int, int]) -> None:
    half = np.zeros((*size, 1), np.uint8)
    half[size[0] // 2 if size[0] > 2 else 0 :, size[1] // 2 if size[1] > 2 else 0 :] = 200
    result = resize(half, Shape(1, 8, 8), Preprocess(8, aspect="squash"))
    along = result[:, 0, 0] if size[0] > size[1] else result[0, :, 0]
    assert along[:3].tolist() == [0] * 3
    assert along[5:].tolist() == [200] * 3


@pytest.mark.parametrize(("size", "window"), [((1, 50_000), np.s_[4, :]), ((50_000, 1), np.s_[:, 4])])
def test_a_ribbon_is_a_line_of_one_pixel_where_it_is_padded(
    size: tuple[int, int], window: tuple[int | slice, int | slice]
) -> None:
    result = resize(
        np.full((*size, 1), 77, np.uint8), Shape(1, 9, 9), Preprocess(9, "bilinear", (0.0,), (1.0,), "pad")
    )
    assert np.all(result[window] == 77)
    assert (result == 77).sum() == 9


def test_the_longest_ribbons_take_little_memory_in_every_way() -> None:
    """At once, the filter's tables take 1 GB for the wide one, and the high one 2 GB between its passes."""
    code = """
import resource
import numpy as np
from smidgen.graph import Preprocess
from smidgen.images import MAX_PIXELS, resize
from smidgen.spec import Shape

ribbon = np.full(MAX_PIXELS, 9, np.uint8)
resize(ribbon[:9].reshape(3, 3, 1), Shape(1, 5, 5), Preprocess(5, "bilinear", (0.0,), (1.0,), "pad"))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)
for size in ((1, MAX_PIXELS, 1), (2**23, 1, 1)):
    for aspect in ("squash", "pad"):
        how = Preprocess(224, "bilinear", (0.0,), (1.0,), aspect)
        assert resize(ribbon[: max(size)].reshape(size), Shape(1, 224, 224), how).max() == 9
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
