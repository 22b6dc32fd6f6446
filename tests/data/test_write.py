from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import Dataset, FilePicture, MemoryPicture, fingerprint, open_dataset, survey, write_folder
from smidgen.spec import DataError, PictureError


def small(classes: tuple[str, ...] = ("a", "b"), **fields: object) -> Dataset:
    pictures = tuple(MemoryPicture(str(n), n % 2, np.full((2, 3), n, np.uint8)) for n in range(6))
    return Dataset("small", "a test", classes, pictures, **fields)  # type: ignore[arg-type]


def test_digits_survive_the_way_through_a_folder(tmp_path: Path) -> None:
    digits = open_dataset("digits")
    write_folder(digits, tmp_path / "digits")
    back = open_dataset(tmp_path / "digits")
    assert back.classes == digits.classes
    assert fingerprint(back, survey(back)) == fingerprint(digits, survey(digits))


def test_a_class_is_a_subfolder_and_grey_stays_grey(tmp_path: Path) -> None:
    write_folder(small(), tmp_path / "out")
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert names == [f"out/{'ab'[n % 2]}/0000{n}.png" for n in (0, 2, 4, 1, 3, 5)]
    with Image.open(tmp_path / "out/a/00002.png") as image:
        assert image.mode == "L"


def test_a_given_split_is_written_and_read_back(tmp_path: Path) -> None:
    given_split = ("train", "train", "val", "val", "test", "test")
    write_folder(small(given_split=given_split), tmp_path / "out")
    back = open_dataset(tmp_path / "out")
    assert sorted(back.given_split or ()) == sorted(given_split)


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="exists already and nothing is overwritten"):
        write_folder(small(), tmp_path)
    with pytest.raises(DataError, match="exists already"):
        write_folder(small(), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_folder(small(), tmp_path / "out")
    assert len(list(tmp_path.rglob("*.png"))) == 6


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\\b", ".hidden"])
def test_class_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be the name of a folder"):
        write_folder(small(("a", name)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    missing = FilePicture(tmp_path / "gone.png", "gone.png", 0)
    broken = Dataset("broken", "a test", ("a", "b"), (*small().pictures, missing))
    with pytest.raises(PictureError, match="no such file"):
        write_folder(broken, tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written \("):
        write_folder(small(), tmp_path / "file" / "out")
