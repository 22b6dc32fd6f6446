"""A run is made outside its data, in a place that can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.data.places import place_for, require_place
from smidgen.spec import SmidgenError


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data with a class that is a link, and parts of which one holds another."""
    folder = tmp_path / "photos"
    for name in ("cat", "train"):
        (folder / name).mkdir(parents=True)
    for name, link in (("elsewhere/dog", "dog"), ("elsewhere/bird", "train/bird")):
        (tmp_path / name).mkdir(parents=True)
        (folder / link).symlink_to(tmp_path / name)
    (tmp_path / "album").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("data", ["photos", "./photos/", "album", "photos/cat/.."])
@pytest.mark.parametrize(
    "out",
    [
        "photos/run",
        "photos/cat/run",
        "photos/new/run",
        "album/run",
        "elsewhere/dog/run",
        "elsewhere/bird/a/run",
    ],
)
def test_a_run_inside_the_data_is_refused(photos: Path, data: str, out: str) -> None:
    before = sorted(photos.rglob("*"))
    with pytest.raises(SmidgenError, match=r"^\S+ lies inside the data, .*choose an --out beside them$"):
        require_place(Path(out), Path("runs/photos"), data)
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize("out", ["run", "photos-2/run", "elsewhere/run", "photos/../run"])
def test_a_run_beside_the_data_is_not(photos: Path, out: str) -> None:
    require_place(Path(out), Path("runs/photos"), "photos")
    assert not Path(out).exists()


@pytest.mark.parametrize(("here", "data"), [("photos", "."), ("photos/cat", ".."), ("photos", "../album")])
def test_without_a_wish_the_run_goes_beside_the_data(
    photos: Path, monkeypatch: pytest.MonkeyPatch, here: str, data: str
) -> None:
    monkeypatch.chdir(here)
    place = place_for(Path("runs", "photos"), data)
    assert place == photos.parent / "runs" / "photos"
    require_place(None, place, data)
    assert place_for(place, data) == place


@pytest.mark.parametrize("data", ["photos", "digits", "labels.csv", "nosuch"])
def test_outside_the_data_the_run_goes_into_the_current_folder(photos: Path, data: str) -> None:
    Path("labels.csv").write_text("path,label\n")
    assert place_for(Path("runs", "x"), data) == Path("runs", "x")


def test_data_that_are_yet_to_be_written_hold_no_run_either(photos: Path) -> None:
    with pytest.raises(SmidgenError, match="lies inside the data"):
        require_place(Path("demo/digits/run"), Path("demo/run"), "demo/digits")


@pytest.mark.parametrize(
    "out", ["file/run", "file/a/b/run", "/proc/run", "gone/run", "x" * 300, f"a/{'x' * 300}/b"]
)
def test_a_place_that_cannot_be_made_is_one_line_and_leaves_nothing(photos: Path, out: str) -> None:
    Path("file").write_text("mine")
    Path("gone").symlink_to("nowhere")
    before = sorted(photos.parent.rglob("*"))
    for wanted, base in ((Path(out), Path("runs/x")), (None, Path(out))):
        with pytest.raises(SmidgenError, match=r"cannot be created \([^\n]+\)(; choose .* --out)?$"):
            require_place(wanted, base)
    assert sorted(photos.parent.rglob("*")) == before


def test_a_default_place_that_cannot_be_made_names_the_option_that_chooses_another(photos: Path) -> None:
    (photos.parent / "file").touch()
    with pytest.raises(SmidgenError, match=r"\); choose another place with --out$"):
        require_place(None, photos.parent / "file" / "run", "photos")
    with pytest.raises(SmidgenError, match=r"cannot be created \([^\n]+\)$"):
        require_place(photos.parent / "file" / "run", photos / "x", "photos")


def test_nothing_lies_beside_the_root_of_all_files(photos: Path) -> None:
    with pytest.raises(SmidgenError, match=r"^/: .*name the folder of the pictures$"):
        require_place(None, place_for(Path("runs", "x"), "/"), "/")


def test_an_option_is_no_name_of_a_run(photos: Path) -> None:
    with pytest.raises(SmidgenError, match="the name of a folder is needed"):
        require_place(Path("--json"), Path("runs", "x"), "photos")
