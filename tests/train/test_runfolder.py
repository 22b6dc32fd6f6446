import os
from pathlib import Path

import pytest

from smidgen.data.places import require_place
from smidgen.spec import SmidgenError
from smidgen.train.runfolder import RECORD, new_run_folder


def fail(wanted: Path | None, base: Path, leave: str | None = None) -> None:
    with new_run_folder(wanted, base) as folder:
        if leave:
            (folder / leave).write_text("")
        raise KeyboardInterrupt


def test_a_run_gets_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    with new_run_folder(tmp_path / "a" / "b", tmp_path / "base") as folder:
        assert folder == tmp_path / "a" / "b"
        assert folder.is_dir()
    assert folder.is_dir()


def test_without_a_wish_the_first_free_number_is_taken(tmp_path: Path) -> None:
    (tmp_path / "base-1").mkdir()
    (tmp_path / "base-2").write_text("a file counts too")
    (tmp_path / "base-3").symlink_to(tmp_path / "nowhere")
    with new_run_folder(None, tmp_path / "base") as folder:
        assert folder == tmp_path / "base-4"


def test_a_failed_run_takes_its_folder_and_the_way_to_it_along(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a" / "b" / "c", tmp_path / "base", leave="metrics.csv")
    with pytest.raises(KeyboardInterrupt):
        fail(None, tmp_path / "runs" / "digits")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_keeps_what_can_be_taken_up_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "run", tmp_path / "base", leave=RECORD)
    assert (tmp_path / "run" / RECORD).exists()


def test_a_failed_run_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "empty" / "a" / "run", tmp_path / "base")
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_failed_run_leaves_the_run_beside_it(tmp_path: Path) -> None:
    with new_run_folder(None, tmp_path / "runs" / "x"), pytest.raises(KeyboardInterrupt):
        fail(None, tmp_path / "runs" / "x")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["x-1"]


@pytest.mark.parametrize("kind", ["folder", "file", "dead link"])
def test_nothing_is_ever_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    match kind:
        case "folder":
            path.mkdir()
        case "file":
            path.write_text("mine")
        case _:
            path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SmidgenError, match="exists; a run is never overwritten, choose another --out"):
        require_place(path, tmp_path / "base")
    with pytest.raises(SmidgenError, match="exists; a run is never overwritten"):
        fail(path, tmp_path / "base")
    assert os.path.lexists(path)


def test_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file/run", "file/deep/run", "x" * 300):
        with pytest.raises(SmidgenError, match=r"cannot be created \([^\n]+\)$"):
            fail(tmp_path / place, tmp_path / "base")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
