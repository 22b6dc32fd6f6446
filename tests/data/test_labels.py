from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import open_labels
from smidgen.data.labels import inspect_labels
from smidgen.spec import DataError


def csv_of(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """A CSV beside pictures/0.png … pictures/3.png."""
    (folder / "pictures").mkdir(exist_ok=True)
    for number in range(4):
        Image.new("L", (1, 1), number).save(folder / "pictures" / f"{number}.png")
    file = folder / "labels.csv"
    file.write_bytes(text.encode(encoding))
    return file


def refusal(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_labels(file)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(file))


def test_paths_are_relative_to_the_csv_and_rows_keep_their_order(tmp_path: Path) -> None:
    file = csv_of(tmp_path, "path,label\npictures/2.png,dog\npictures/1.png,cat\n")
    dataset = open_labels(file)
    assert dataset.classes == ("cat", "dog")
    assert [(picture.name, picture.label) for picture in dataset.pictures] == [
        ("pictures/2.png", 1),
        ("pictures/1.png", 0),
    ]
    np.testing.assert_array_equal(dataset.pictures[0].read(1), [[[2]]])
    assert (dataset.name, dataset.source, dataset.given_split) == ("labels", str(file), None)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(separator: str, encoding: str, newline: str, tmp_path: Path) -> None:
    rows = [
        ["Label ", "note", "path"],
        ["Bär", "", "pictures/0.png"],
        ['"a b"', "x", "pictures/1.png"],
        ["", "", ""],
    ]
    file = csv_of(tmp_path, newline.join(separator.join(row) for row in rows), encoding)
    dataset = open_labels(file)
    assert dataset.classes == ("Bär", "a b")
    assert [picture.name for picture in dataset.pictures] == ["pictures/0.png", "pictures/1.png"]


def test_a_split_column_is_the_given_split(tmp_path: Path) -> None:
    file = csv_of(
        tmp_path, "path,label,split\npictures/0.png,a,train\npictures/1.png,b,Valid\npictures/2.png,b,test\n"
    )
    assert open_labels(file).given_split == ("train", "val", "test")


def test_an_empty_split_column_gives_no_split(tmp_path: Path) -> None:
    assert (
        open_labels(csv_of(tmp_path, "path,label,split\npictures/0.png,a,\npictures/1.png,b,\n")).given_split
        is None
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("file,class\nx,y\n", ": no column path and no label; path and label are needed, it has file, class"),
        ("path,class\nx,y\n", ": no column label; path and label are needed, it has path, class"),
        ("", ": no column path and no label; path and label are needed, it has none"),
        ("path,label\n", ": no rows below the header"),
        ("path,label\npictures/0.png,a\npictures/9.png,b\n", ", line 3: no file "),
        ("path,label\npictures/0.png,a\npictures/1.png,\n", ", line 3: no label"),
        ("path,label\npictures/0.png\n", ", line 2: no label"),
        ("path,label\n,a\n", ", line 2: no path"),
        (
            "path,label\npictures/0.png,a\npictures/0.png,b\n",
            ", line 3: pictures/0.png stands in line 2 already",
        ),
        ("path,label\npictures/0.png,a\npictures/1.png,a\n", ": only one class, a;"),
        ("path,label,split\npictures/0.png,a,train\npictures/1.png,b,dev\n", ", line 3: 'dev' is no part"),
        ("path,label,split\npictures/0.png,a,train\npictures/1.png,b,\n", ", line 3: '' is no part"),
        ('path,label\npictures/0.png,"a\n', ": not a CSV"),
    ],
)
def test_senseless_rows_are_refused_with_their_line(text: str, complaint: str, tmp_path: Path) -> None:
    assert refusal(csv_of(tmp_path, text)).startswith(complaint)


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    file = csv_of(tmp_path, "path,label\nx.png,a\npictures/1.png,a\ny.png,b\n")
    first = f", line 2: no file {tmp_path / 'x.png'}; 2 of 3 pictures missing"
    assert refusal(file) == first + " (1 more: `smidgen check` lists all)"


def test_every_wrong_row_is_noted_and_the_sound_ones_stay(tmp_path: Path) -> None:
    rows = "pictures/0.png,a\npictures/1.png,\npictures/0.png,b\ngone.png,b\npictures/2.png,b\n"
    dataset = inspect_labels(csv_of(tmp_path, "path,label\n" + rows))
    assert [picture.name for picture in dataset.pictures] == ["pictures/0.png", "pictures/2.png"]
    lines = [problem.split(", ", 1)[1].split(":")[0] for problem in dataset.problems]
    assert lines == ["line 3", "line 4", "line 5"]


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    assert "not UTF-8" in refusal(csv_of(tmp_path, "path,label\npictures/0.png,Bär\n", "latin-1"))


def test_a_missing_csv_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == ": no such file"
