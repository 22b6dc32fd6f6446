import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from smidgen.images import Pixels, decode, drop_equal_channels
from smidgen.spec import PictureError

COLOURS = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
GREYS = np.random.default_rng(2).integers(0, 256, (5, 7)).astype(np.uint8)


def written(array: npt.NDArray[Any] | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, kind, **options)
    return stream.getvalue()


# -- orientation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = written(COLOURS, kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content, 3), np.asarray(upright.convert("RGB")))
    # In the standard's own words: 6 means that row 0 is the visual right-hand side.
    if orientation == 6:
        np.testing.assert_array_equal(decode(content, 3)[:, -1], COLOURS[0])


def test_orientation_turns_sixteen_bit_grey_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    content = written(GREYS.astype(np.uint16) * 257, exif=exif)
    np.testing.assert_array_equal(decode(content, 1)[:, :, 0], np.rot90(GREYS))


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(written(COLOURS, exif=exif), 3), COLOURS)


def test_damaged_exif_does_not_cost_the_picture() -> None:
    content = written(COLOURS, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff rubbish")
    np.testing.assert_array_equal(decode(content, 3), COLOURS)


# -- depth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    ramp = np.array([[0, 255, 256, 32_768, 65_535]], np.uint16)
    np.testing.assert_array_equal(decode(written(ramp, kind), 1)[0, :, 0], [0, 0, 1, 128, 255])


def test_eight_bit_values_survive_sixteen_bit_storage() -> None:
    np.testing.assert_array_equal(decode(written(GREYS.astype(np.uint16) * 257), 1)[:, :, 0], GREYS)


def test_big_endian_sixteen_bit_tiff_reads_like_little_endian() -> None:
    values = (GREYS.astype(np.uint16) * 257).astype(">u2")
    content = written(Image.frombytes("I;16B", (7, 5), values.tobytes()), "TIFF")
    np.testing.assert_array_equal(decode(content, 1)[:, :, 0], GREYS)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_samples_without_an_agreed_range_are_refused(kind: type[np.generic]) -> None:
    with pytest.raises(PictureError, match="no agreed range; save it with 8 or 16 bits"):
        decode(written(GREYS.astype(kind), "TIFF"), 1)


def test_one_bit_pictures_are_black_and_white() -> None:
    bits = Image.fromarray(GREYS > 100)
    assert bits.mode == "1"
    np.testing.assert_array_equal(
        decode(written(bits), 3), np.repeat((GREYS > 100)[:, :, None] * 255, 3, axis=2)
    )


# -- colour -------------------------------------------------------------------------------------------


def test_palette_pictures_show_the_palette() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        np.testing.assert_array_equal(decode(written(image, kind), 3)[0], [[200, 100, 50], [10, 20, 30]])


def test_cmyk_shows_ink_on_paper() -> None:
    image = Image.new("CMYK", (4, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (0, 255, 255, 0)])
    shown = decode(written(image, "TIFF"), 3)[0]
    np.testing.assert_array_equal(shown, [[255, 255, 255], [0, 0, 0], [0, 255, 255], [255, 0, 0]])


def test_cmyk_jpeg_is_not_shown_as_a_negative() -> None:
    paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert decode(written(paper, "JPEG"), 3).min() > 250


def test_grey_becomes_three_equal_channels_and_comes_back() -> None:
    colour = decode(written(GREYS), 3)
    np.testing.assert_array_equal(colour, np.repeat(GREYS[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(decode(written(colour), 1)[:, :, 0], GREYS)


def test_colour_becomes_grey_by_the_luma_of_bt601() -> None:
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode(written(COLOURS), 1)[:, :, 0] - luma).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_grey_is_the_luma_of_what_colour_shows(mode: str) -> None:
    deep = Image.fromarray(GREYS.astype(np.uint16) * 257)
    content = written(deep if mode == "I;16" else Image.fromarray(COLOURS).convert(mode), "TIFF")
    shown = Image.fromarray(decode(content, 3)).convert("L")
    np.testing.assert_array_equal(decode(content, 1)[:, :, 0], np.asarray(shown))


# -- transparency -------------------------------------------------------------------------------------


@given(hnp.arrays(np.uint8, (3, 4, 4)))
def test_transparency_shows_white_paper(pixels: Pixels) -> None:
    alpha = pixels[:, :, 3:] / 255
    expected = pixels[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(decode(written(pixels), 3) - expected).max() <= 1


def test_opaque_alpha_changes_nothing() -> None:
    opaque = np.dstack([COLOURS, np.full(COLOURS.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(decode(written(opaque), 3), COLOURS)


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.new("LA", (3, 1))
    image.putdata([(80, 255), (80, 0), (0, 128)])
    np.testing.assert_array_equal(decode(written(image), 1)[0, :, 0], [80, 255, 127])


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        shown = decode(written(image, kind, transparency=0), 3)[0]
        np.testing.assert_array_equal(shown, [[255, 255, 255], [200, 100, 50]])


@pytest.mark.parametrize(
    ("array", "key"), [(GREYS, int(GREYS[0, 0])), (COLOURS, tuple(map(int, COLOURS[0, 0])))]
)
def test_a_transparent_colour_key_is_white(array: Pixels, key: object) -> None:
    shown = decode(written(array, transparency=key), 3)
    np.testing.assert_array_equal(shown[0, 0], [255, 255, 255])


def test_the_first_picture_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    for kind, options in (("GIF", {}), ("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        content = written(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode(content, 3)[0, 0], [255, 0, 0])


# -- one channel or three -----------------------------------------------------------------------------


@given(st.booleans())
def test_a_picture_is_grey_only_when_all_channels_agree_everywhere(differs: bool) -> None:
    picture = np.repeat(GREYS[:, :, None], 3, axis=2)
    picture[4, 6, 2] ^= differs
    assert drop_equal_channels(picture).shape[2] == (3 if differs else 1)


def test_a_grey_picture_keeps_its_values() -> None:
    np.testing.assert_array_equal(
        drop_equal_channels(np.repeat(GREYS[:, :, None], 3, axis=2))[:, :, 0], GREYS
    )
    assert drop_equal_channels(GREYS[:, :, None]).shape == (5, 7, 1)
