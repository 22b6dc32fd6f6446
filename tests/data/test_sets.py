from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import clashes, sets, survey
from smidgen.spec import DataError


@pytest.mark.parametrize("name", sets.names())
def test_every_set_file_registers_a_sound_set(name: str) -> None:
    try:
        dataset = sets.load(name)
    except DataError as error:
        pytest.skip(str(error))
    assert dataset.name == name
    assert "doi" in dataset.source or "http" in dataset.source
    assert len(dataset.classes) >= 2
    assert {picture.label for picture in dataset.pictures} == set(range(len(dataset.classes)))
    assert len({picture.name for picture in dataset.pictures}) == len(dataset.pictures)
    seen = survey(dataset)
    assert not seen.unreadable
    assert not clashes(dataset, seen)


def test_every_python_file_of_the_folder_is_a_set() -> None:
    files = Path(sets.__file__).parent.glob("*.py")
    assert {file.stem.replace("_", "-") for file in files} - {"--init--"} == set(sets.names())


def test_an_unknown_set_is_refused_with_those_that_exist() -> None:
    with pytest.raises(DataError, match="no set 'digit'; did you mean digits"):
        sets.load("digit")


def test_digits_have_the_published_count_of_each_class() -> None:
    # optdigits.names of the UCI repository, "Class Distribution", testing.
    published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    counts = Counter(picture.label for picture in sets.load("digits").pictures)
    assert [counts[digit] for digit in range(10)] == published


def test_digits_are_those_of_scikit_learn() -> None:
    original = pytest.importorskip("sklearn.datasets").load_digits()
    pictures = sets.load("digits").pictures
    pixels = np.stack([picture.read(1)[:, :, 0] for picture in pictures])
    scaled = [
        [[round(value * 255 / 16) for value in row] for row in image] for image in original.images.tolist()
    ]
    np.testing.assert_array_equal(pixels, scaled)
    np.testing.assert_array_equal([picture.label for picture in pictures], original.target)


def test_digits_read_as_colour_have_equal_channels() -> None:
    picture = sets.load("digits").pictures[0]
    assert picture.read(3).shape == (8, 8, 3)
    np.testing.assert_array_equal(picture.read(3), np.repeat(picture.read(1), 3, axis=2))


def test_reading_gives_a_copy_that_may_be_changed() -> None:
    picture = sets.load("digits").pictures[0]
    picture.read(1)[:] = 9
    assert picture.read(1).max() != 9
