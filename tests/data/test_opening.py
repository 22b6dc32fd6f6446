import re
from pathlib import Path

import pytest
from PIL import Image

from smidgen.data import open_dataset
from smidgen.spec import DataError


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two classes and a CSV of the same, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "photos" / name / "1.png")
    (tmp_path / "photos.csv").write_text("path,label\nphotos/cat/1.png,cat\nphotos/dog/1.png,dog\n")
    return tmp_path / "photos"


@pytest.mark.parametrize("data", ["photos", "./photos/", "photos.csv", Path("photos"), Path("photos.csv")])
def test_folders_and_csvs_open_by_string_and_path(photos: Path, data: str | Path) -> None:
    assert open_dataset(data).classes == ("cat", "dog")


def test_a_set_opens_by_name(photos: Path) -> None:
    assert open_dataset("digits").name == "digits"


def test_a_folder_with_a_set_s_name_opens_by_its_path(photos: Path) -> None:
    photos.rename("digits")
    assert len(open_dataset("digits").classes) == 10
    assert open_dataset("./digits").classes == ("cat", "dog")
    assert open_dataset(Path("digits")).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("digts", "no folder, CSV or set 'digts'; did you mean digits? sets are cifar10, cifar100"),
        ("fotos", "no folder, CSV or set 'fotos'; sets are cifar10, cifar100"),
        ("here/fotos", "here/fotos: no such folder"),
        (Path("fotos"), "fotos: no such folder"),
        ("fotos.csv", "fotos.csv: no such file"),
        ("x" * 300, f"{'x' * 300}: cannot be read (File name too long)"),
        (
            "photos/cat/1.png",
            "photos/cat/1.png: neither a folder nor a CSV; data is a folder, a CSV or a set's name",
        ),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(photos: Path, data: str | Path, message: str) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(data)
    assert str(caught.value).startswith(message)


def test_what_lies_in_a_closed_folder_is_refused_in_one_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)
    with pytest.raises(DataError, match=r"^photos: cannot be read \(Permission denied\)$"):
        open_dataset("photos")


# -- groups -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"p\d", ("p1", "p2", "")),
        (r"p(\d)", ("1", "2", "")),
        (r"/(?:p(\d)|x)", ("1", "2", "")),
        (r"(p\d)?", ("", "", "")),
        (r"^[^/]+", ("cat", "dog", "dog")),
    ],
)
def test_a_group_is_the_first_parenthesis_or_the_whole_match(
    tmp_path: Path, pattern: str, groups: tuple[str, ...]
) -> None:
    for name in ("cat/p1.png", "dog/p2.png", "dog/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    if any(groups):
        assert open_dataset(tmp_path, group_by=pattern).groups == groups
    else:
        with pytest.raises(DataError, match=r"matches no picture; their names look like cat/p1\.png"):
            open_dataset(tmp_path, group_by=pattern)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("(", "is no regular expression"),
        ("a{99999999999999}", "is no regular expression"),
        ("zebra", "matches no picture"),
        ("png$", "puts all 2 pictures into one group, 'png'"),
    ],
)
def test_a_pattern_of_no_use_is_refused_in_one_line(photos: Path, pattern: str, complaint: str) -> None:
    with pytest.raises(DataError, match=re.escape(complaint)) as caught:
        open_dataset(photos, group_by=pattern)
    assert "\n" not in str(caught.value)
    assert f"--group-by '{pattern}'" in str(caught.value)
