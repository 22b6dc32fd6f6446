import io
import time

import numpy as np
import pytest
from PIL import Image

from smidgen.data import Dataset, MemoryPicture, Near, Split, near_identical, survey
from smidgen.images import Pixels

RNG = np.random.default_rng(11)


def scene(side: int = 96) -> Pixels:
    """Random clouds: as unlike each other as photographs of different things."""
    rough = RNG.integers(0, 256, (6, 6)).astype(np.uint8)
    return np.asarray(Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC))


def saved_again(picture: Pixels) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=70)
    return np.asarray(Image.open(stream))


def smaller(picture: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(picture).resize((61, 61), Image.Resampling.LANCZOS))


def brighter(picture: Pixels) -> Pixels:
    return (picture * 0.8 + 40).astype(np.uint8)


def dataset_of(greys: list[Pixels], labels: list[int]) -> Dataset:
    pictures = tuple(
        MemoryPicture(f"{index}", label, grey)
        for index, (grey, label) in enumerate(zip(greys, labels, strict=True))
    )
    return Dataset("test", "a test", ("a", "b"), pictures)


def pairs(dataset: Dataset, parts: Split | None = None) -> tuple[Near, ...]:
    return near_identical(dataset, survey(dataset), parts)


@pytest.mark.parametrize("change", [saved_again, smaller, brighter])
def test_the_same_scene_stored_otherwise_is_near(change: object) -> None:
    assert callable(change)
    scenes = [scene() for _ in range(40)]
    dataset = dataset_of([*scenes, change(scenes[7])], [0] * 40 + [1])
    assert pairs(dataset) == (Near(7, 40, classes=True, parts=False),)


def test_other_scenes_and_turned_ones_are_not_near() -> None:
    one = scene()
    dataset = dataset_of([one, one.T, one[::-1], 255 - one, scene()], [0, 1, 1, 1, 1])
    assert pairs(dataset) == ()


def test_only_pairs_across_parts_or_classes_are_reported() -> None:
    one, other = scene(), scene()
    greys = [one, saved_again(one), other, saved_again(other)]
    dataset = dataset_of(greys, [0, 0, 1, 1])
    assert pairs(dataset) == ()
    split = Split(train=(0, 1, 2), val=(), test=(3,))
    assert pairs(dataset, split) == (Near(2, 3, classes=False, parts=True),)
    left_out = Split(train=(0, 1, 2), val=(), test=(), left_out=(3,))
    assert pairs(dataset, left_out) == ()


def test_identical_and_blank_pictures_are_not_near() -> None:
    one = scene()
    blanks = [np.full((9, 9), grey, np.uint8) for grey in (0, 1, 2)]
    assert pairs(dataset_of([one, one.copy(), *blanks], [0, 1, 0, 1, 0])) == ()


def test_nothing_has_no_pairs() -> None:
    assert (
        near_identical(Dataset("none", "", ("a", "b"), ()), survey(Dataset("none", "", ("a", "b"), ()))) == ()
    )


def test_very_many_alike_take_no_quadratic_time() -> None:
    one = scene(16)
    greys = [one + np.uint8(0) for _ in range(8_000)]
    for number, grey in enumerate(greys):
        grey[number % 16, number // 16 % 16] ^= 1 + number // 256 % 3
    dataset = dataset_of(greys, [number % 2 for number in range(8_000)])
    seen = survey(dataset)
    start = time.process_time()
    found = near_identical(dataset, seen)
    assert time.process_time() - start < 10
    assert found
    assert len(found) <= 8 * 8 * 8_000
