from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import Dataset, FilePicture, MemoryPicture, load_pixels
from smidgen.graph.network import Preprocess
from smidgen.images import resize_crop
from smidgen.spec import DataError, PictureError, Shape

RNG = np.random.default_rng(0)
PICTURES = tuple(
    MemoryPicture(str(n), n % 2, RNG.integers(0, 256, (5 + n % 3, 6), np.uint8)) for n in range(50)
)
DATASET = Dataset("memory", "a test", ("a", "b"), PICTURES)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_in_the_order_of_the_indices(channels: int) -> None:
    shape, preprocess, indices = Shape(channels, 4, 5), Preprocess(5), [7, 3, 3, 49, 0]
    pixels = load_pixels(DATASET, indices, shape, preprocess)
    assert pixels.dtype == np.uint8
    for index, row in zip(indices, pixels, strict=True):
        np.testing.assert_array_equal(row, resize_crop(PICTURES[index].read(channels), shape, preprocess))


def test_no_indices_give_no_pictures() -> None:
    assert load_pixels(DATASET, [], Shape(3, 8, 8), Preprocess(8)).shape == (0, 8, 8, 3)


def test_too_much_for_memory_is_refused_with_what_fits() -> None:
    with pytest.raises(DataError) as caught:
        load_pixels(DATASET, range(60_000), Shape(3, 224, 224), Preprocess(224))
    assert str(caught.value) == (
        "60,000 pictures at 3x224x224 take 8.4 GiB of memory, above the limit of 4 GiB; resolution 152 fits"
    )
    assert 60_000 * 3 * 152**2 <= 4 * 2**30 < 60_000 * 3 * 160**2


def test_more_pictures_than_any_resolution_holds_asks_for_fewer() -> None:
    with pytest.raises(DataError, match="use fewer pictures"):
        load_pixels(DATASET, range(10**8), Shape(3, 8, 8), Preprocess(8))


def test_a_broken_picture_is_an_error_with_its_path(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    files = tuple(FilePicture(tmp_path / name, name, 0) for name in ("good.png", "bad.png"))
    with pytest.raises(PictureError, match=r"bad\.png: empty file"):
        load_pixels(Dataset("files", "", ("a", "b"), files), [0, 1], Shape(1, 3, 3), Preprocess(3))
