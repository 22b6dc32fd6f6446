"""`smidgen report` makes page and card again, from the run's folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import example_report
import smidgen as library
from command_line import smidgen
from smidgen import report
from smidgen.modules import create, save
from smidgen.seal import sealed
from tiny_set import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder without its page."""
    run = tmp_path / "run"
    run.mkdir()
    report.write(run / "report.json", example_report.whole())
    return run


def test_page_and_card_are_written_and_their_paths_printed(folder: Path) -> None:
    report.write_page(folder / "report.html", example_report.bare())
    done = smidgen("report", folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.split() == [str(folder / "report.html"), str(folder / "model_card.md")]
    assert (folder / "report.html").read_text("utf-8") == sealed(report.render(example_report.whole()))
    assert (folder / "model_card.md").read_text("utf-8") == sealed(report.card(example_report.whole()))


@pytest.mark.parametrize("name", ["report.html", "model_card.md"])
def test_what_somebody_changed_is_not_written_over(folder: Path, name: str) -> None:
    assert smidgen("report", folder).code == 0
    assert smidgen("report", folder).code == 0  # what it made, it makes again
    path = folder / name
    path.write_text(path.read_text("utf-8").replace("Smidgen", "Smidgen, and we", 1) + "By hand.\n", "utf-8")
    before = files(folder)
    done = smidgen("report", folder)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{name} holds something else, and only a " in done.err
    assert "that nobody has changed is written over; move it away first" in done.err
    assert files(folder) == before


def test_the_drawing_comes_from_the_model_file(folder: Path) -> None:
    network = library.network("shiftresnet20_e3", num_classes=10, c_in=1, resolution=16)
    save(folder / "model.safetensors", network, create(network))
    assert smidgen("report", folder).code == 0
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="architecture"' in page
    assert "CSC 3x3, 64" in page


def test_a_model_file_elsewhere_is_not_opened(folder: Path, tmp_path: Path) -> None:
    network = library.network("shiftresnet20_e3", num_classes=10, c_in=1, resolution=16)
    save(tmp_path / "other.safetensors", network, create(network))
    document = example_report.whole()
    document["model_file"] = "../other.safetensors"
    report.write(folder / "report.json", document)
    assert smidgen("report", folder).code == 0
    assert 'id="architecture"' not in (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"network": 3}', ""])
def test_a_folder_without_a_whole_report_is_one_line_and_changes_nothing(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    before = sorted(tmp_path.iterdir())
    done = smidgen("report", tmp_path)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "report.json: " in done.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_that_is_not_there_or_is_a_file_is_one_line(folder: Path) -> None:
    for path, told in ((folder / "none", "no such folder"), (folder / "report.json", "a file")):
        done = smidgen("report", path)
        assert (done.code, done.out) == (2, "")
        assert f"{path}: {told};" in done.err


def test_a_broken_model_file_is_one_line(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")
    done = smidgen("report", folder)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "model.safetensors: " in done.err


def test_a_page_that_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "report.html").mkdir()
    done = smidgen("report", folder)
    assert done.code == 2
    assert "a folder; the name of a file is needed" in done.err
