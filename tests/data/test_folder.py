import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import open_folder, survey
from smidgen.data.folder import inspect_folder
from smidgen.spec import DataError


def lay(folder: Path, *files: str) -> Path:
    """Create files: grey pictures of one pixel where the name is a picture's, otherwise text."""
    for number, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".gif"):
            Image.new("L", (1, 1), number).save(path)
        else:
            path.write_text("text")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_folder(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(folder)).removeprefix("/")


def test_each_subfolder_is_a_class_in_sorted_order(tmp_path: Path) -> None:
    lay(tmp_path, "dog/1.png", "cat/2.PNG", "cat/1.jpg", "10/x.gif", "9/x.gif")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("10", "9", "cat", "dog")
    assert [(picture.name, picture.label) for picture in dataset.pictures] == [
        ("10/x.gif", 0),
        ("9/x.gif", 1),
        ("cat/1.jpg", 2),
        ("cat/2.PNG", 2),
        ("dog/1.png", 3),
    ]
    assert dataset.given_split is None
    assert (dataset.name, dataset.source) == (tmp_path.name, str(tmp_path))


def test_pictures_are_found_at_any_depth(tmp_path: Path) -> None:
    lay(tmp_path, "a/x/y/z/1.png", "b/1.png")
    assert [picture.name for picture in open_folder(tmp_path).pictures] == ["a/x/y/z/1.png", "b/1.png"]


def test_a_picture_reads_as_its_pixels(tmp_path: Path) -> None:
    lay(tmp_path, "a/0.png", "b/1.png")
    np.testing.assert_array_equal(open_folder(tmp_path).pictures[1].read(3), np.ones((1, 1, 3)))


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "a/1.png",
        "b/1.png",
        ".git/1.png",
        "a/._1.png",
        "a/.cache/1.png",
        "__MACOSX/a/1.png",
        "a/Thumbs.db",
    )
    dataset = open_folder(tmp_path)
    assert [picture.name for picture in dataset.pictures] == ["a/1.png", "b/1.png"]
    assert dataset.ignored == ()


def test_visible_files_that_are_no_pictures_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/1.png", "a/notes.txt", "b/1.heic", "loose.png", "README")
    assert open_folder(tmp_path).ignored == ("README", "a/notes.txt", "b/1.heic", "loose.png")


def test_a_link_to_a_class_folder_is_a_class(tmp_path: Path) -> None:
    lay(tmp_path / "far", "1.png")
    lay(tmp_path / "near", "a/1.png")
    (tmp_path / "near" / "b").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "loop").symlink_to(tmp_path / "far")
    assert [picture.name for picture in open_folder(tmp_path / "near").pictures] == ["a/1.png", "b/1.png"]


# -- train, val, test ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "val", "test"), ["train", "val", "test"]),
        (("train", "valid"), ["train", "val"]),
        (("Training", "Validation", "Testing"), ["train", "val", "test"]),
        (("train", "test"), ["train", "test"]),
        (("train",), ["train"]),
    ],
)
def test_parts_are_recognised_by_their_names(
    names: tuple[str, ...], parts: list[str], tmp_path: Path
) -> None:
    lay(tmp_path, *(f"{name}/{kind}/1.png" for name in names for kind in ("a", "b")))
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("a", "b")
    assert dataset.given_split is not None
    assert Counter(dataset.given_split) == dict.fromkeys(parts, 2)
    for picture, part in zip(dataset.pictures, dataset.given_split, strict=True):
        assert names[parts.index(part)] == picture.name.split("/")[0]
        assert dataset.classes[picture.label] == picture.name.split("/")[1]


def test_train_among_other_vehicles_is_a_class(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.png", "car/1.png", "plane/1.png")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("car", "plane", "train")
    assert dataset.given_split is None


def test_parts_with_different_classes_are_refused_with_the_difference(tmp_path: Path) -> None:
    lay(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dogs/1.png")
    difference = "(only in train/: dog; only in val/: dogs)"
    assert refusal(tmp_path) == f": train/ and val/ hold different classes {difference}; make them the same"


def test_a_class_missing_in_test_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.png")
    assert "train/ and test/ hold different classes (only in train/: dog)" in refusal(tmp_path)


def test_a_part_without_class_folders_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png")
    assert refusal(tmp_path).startswith(
        "test: its 2 pictures lie in no class; put each class into a subfolder"
    )


def test_pictures_beside_the_parts_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png", "extra/1.png")
    assert "beside train/, val/ lies extra/ with pictures" in refusal(tmp_path)


def test_a_folder_of_notes_beside_the_parts_is_no_trouble(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png", "docs/licence.txt")
    assert open_folder(tmp_path).ignored == ("docs/licence.txt",)


def test_two_folders_for_one_part_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png")
    assert "val/ and valid/ both name the val part; keep one" in refusal(tmp_path)


# -- what cannot be trained on ------------------------------------------------------------------------


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == ": no such folder"


def test_a_folder_without_pictures_says_what_was_looked_for(tmp_path: Path) -> None:
    lay(tmp_path, "a/notes.txt", "b/x.heic")
    message = refusal(tmp_path)
    assert message.startswith(": no pictures (looked for .jpg, .jpeg, ")
    assert ".webp" in message
    assert "in a subfolder for each class" in message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(": no pictures")


def test_pictures_outside_any_class_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "1.png", "2.png")
    assert refusal(tmp_path).startswith(": its 2 pictures lie in no class")


def test_one_class_is_refused_by_name(tmp_path: Path) -> None:
    lay(tmp_path, "cats/1.png", "cats/2.png")
    assert refusal(tmp_path).startswith(": only one class, cats;")


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/1.png", "c/notes.txt")
    assert refusal(tmp_path).startswith("c: no pictures in this class (1 other files; looked for .jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_class_folder_without_permission_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "b").chmod(0)
    try:
        assert "cannot be read (Permission denied)" in refusal(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o755)


def test_everything_that_is_wrong_is_noted(tmp_path: Path) -> None:
    lay(
        tmp_path, "train/a/1.png", "train/b/1.png", "train/c/x.txt", "val/a/1.png", "test/1.png", "more/1.png"
    )
    problems = inspect_folder(tmp_path).problems
    for part, problem in zip(
        (
            "lies more/ with pictures",
            "test: its 1 pictures",
            "no pictures in this class",
            "different classes",
        ),
        problems,
        strict=True,
    ):
        assert part in problem
    assert "(3 more: `smidgen check` lists all)" in refusal(tmp_path)


def test_what_only_looks_like_a_picture_does_not_hang(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.png", "b/1.png")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "a" / "folder.jpg").mkdir()
    (tmp_path / "b" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    seen = survey(open_folder(tmp_path))
    reasons = [bad.reason.removeprefix(f"{tmp_path}/") for bad in seen.unreadable]
    assert reasons == ["a/pipe.jpg: not a file", "b/gone.jpg: no such file"]
