"""Which pictures a path means."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.predict import pictures_in


@pytest.fixture
def heard() -> list[str]:
    return []


def found(heard: list[str], *paths: Path | str) -> list[str]:
    return list(pictures_in(map(str, paths), heard.append, heard.append))


def test_files_stand_as_they_are_and_folders_for_their_pictures_in_order(
    tmp_path: Path, heard: list[str]
) -> None:
    for name in ("b/2.png", "b/10.jpg", "a.JPG", "b/.hidden.png", ".git/x.png", "notes.txt", "b/c/d.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    wanted = [str(tmp_path / name) for name in ("a.JPG", "b/10.jpg", "b/2.png", "b/c/d.webp")]
    assert found(heard, tmp_path) == wanted
    assert found(heard, tmp_path / "notes.txt", "nowhere.png", tmp_path / "b/c") == [
        str(tmp_path / "notes.txt"), "nowhere.png", wanted[-1],
    ]  # fmt: skip
    assert heard == []


def test_a_folder_without_pictures_is_said_and_the_next_path_is_taken(
    tmp_path: Path, heard: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert found(heard, tmp_path / "empty", "x.png") == ["x.png"]
    assert heard == [f"{tmp_path / 'empty'}: a folder without pictures"]


def test_links_to_folders_are_not_followed(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert found(heard, tmp_path) == [str(tmp_path / "a.png")]


def test_a_folder_that_holds_runs_is_news_and_gives_no_picture(tmp_path: Path, heard: list[str]) -> None:
    run = tmp_path / "photos" / "run-1"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"format": 1, "job": {}, "plan": {}}')
    (run / "mistake.png").touch()
    (tmp_path / "photos/cat.png").touch()
    assert found(heard, tmp_path / "photos") == [str(tmp_path / "photos/cat.png")]
    assert heard == [f"passed over, for it holds runs: {run}/ (1 picture in it)"]
