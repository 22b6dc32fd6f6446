"""`smidgen check`: everything that is wrong, in one go."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import smidgen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten noisy pictures, none like another."""
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "data" / ("cat", "dog")[number % 2] / f"p{number // 4}_{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)).save(path)
    return tmp_path / "data"


def document(*arguments: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(smidgen("check", *arguments, "--json").out)
    return found


def test_a_sound_folder_is_trainable_and_shows_its_split(folder: Path) -> None:
    done = smidgen("check", folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "data: 20 usable pictures in 2 classes, colour"
    assert "sizes        16x12\n" in done.out
    assert done.out.splitlines()[-1] == "trainable"
    found = document(folder)
    assert found["split"] == {
        "train": {"cat": 8, "dog": 8},
        "val": {"cat": 1, "dog": 1},
        "test": {"cat": 1, "dog": 1},
    }
    assert (found["trainable"], found["problems"], found["warnings"]) == (True, [], [])


def test_everything_wrong_is_listed_in_one_go(folder: Path) -> None:
    (folder / "bird").mkdir()
    (folder / "cat" / "p0_00.png").write_bytes(b"")
    (folder / "dog" / "notes.jpg").write_text("no picture at all")
    (folder / "dog" / "list.txt").write_text("")
    shutil.copy(folder / "cat" / "p0_02.png", folder / "dog" / "again.png")
    done = smidgen("check", folder)
    assert done.code == 2
    for line in ("cat/p0_00.png: empty file", "notes.jpg: not a picture", "dog/again.png", "list.txt"):
        assert line in done.out
    assert "not trainable, for 2 reasons" in done.out
    reasons = done.err.splitlines()
    assert len(reasons) == 2
    assert "bird: no pictures in this class" in reasons[0]
    assert "2 of 22 pictures unusable. --skip-bad leaves them out" in reasons[1]


def test_what_can_be_left_out_stops_nothing_when_asked(folder: Path) -> None:
    (folder / "cat" / "p0_00.png").write_bytes(b"")
    assert smidgen("check", folder).code == 2
    done = smidgen("check", folder, "--skip-bad")
    assert (done.code, done.err) == (0, "")
    assert "1 picture cannot be read\n" in done.out


def test_all_that_training_would_leave_out_is_named(folder: Path) -> None:
    bad = random.Random(0).sample(sorted(folder.rglob("*.png")), 12)
    for path in bad:
        path.write_bytes(path.read_bytes()[:50])
    out = smidgen("check", folder, "--skip-bad").out
    assert all(str(path) in out for path in bad)


def test_one_percent_of_broken_files_is_left_out_and_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(300):
        part = ("train", "train", "test")[number % 3]
        path = tmp_path / "data" / part / "ab"[number // 3 % 2] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(path)
    for number in (2, 100, 299):
        path = next((tmp_path / "data").rglob(f"{number:03}.png"))
        path.write_bytes(path.read_bytes()[:40])
    assert smidgen("check", tmp_path / "data").code == 2
    done = smidgen("check", tmp_path / "data", "--skip-bad", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert len(found["unreadable"]) == 3
    assert sum(found["split"]["test"].values()) == 98


def test_parts_with_other_classes_and_stray_pictures_are_both_reasons(folder: Path) -> None:
    (folder / "train").mkdir()
    for name in ("cat", "dog"):
        (folder / name).rename(folder / "train" / name)
    shutil.copytree(folder / "train" / "cat", folder / "val" / "cat")
    shutil.copytree(folder / "train" / "cat", folder / "val" / "bird")
    shutil.copytree(folder / "train" / "cat", folder / "more")
    problems = "\n".join(map(str, document(folder)["problems"]))  # type: ignore[call-overload]
    assert "(only in train/: dog; only in val/: bird)" in problems
    assert "lies more/ with pictures" in problems


def test_one_class_is_a_reason(folder: Path) -> None:
    shutil.rmtree(folder / "dog")
    done = smidgen("check", folder)
    assert done.code == 2
    assert "only one class, cat" in done.err
    assert "10 usable pictures" in done.out


def test_warnings_do_not_stop(folder: Path) -> None:
    (folder / "emu").mkdir()
    Image.effect_noise((20, 20), 80).save(folder / "emu" / "1.png")
    with Image.open(folder / "cat" / "p0_02.png") as image:
        image.point(lambda value: value * 0.9 + 12).save(folder / "dog" / "paler.png")
    found = document(folder)
    assert found["trainable"] is True
    text = "\n".join(found["warnings"])  # type: ignore[arg-type]
    for warning in (
        "1 class has a single picture",
        "1 class is absent from test",
        "1 pair of near-identical pictures in two classes",
        "the largest class has 11 times the pictures of the smallest (dog 11, emu 1)",
        "--class-weights",
    ):
        assert warning in text
    assert found["near_identical"][0]["pictures"] == ["cat/p0_02.png", "dog/paler.png"]  # type: ignore[index]


def test_groups_stay_together_and_strays_are_counted(folder: Path) -> None:
    (folder / "cat" / "p0_00.png").rename(folder / "cat" / "alone.png")
    found = document(folder, "--group-by", r"p(\d)_")
    assert found["groups"] == 5
    assert found["no_group"] == ["cat/alone.png"]
    assert "1 picture is in no group" in str(found["warnings"])
    assert found["trainable"] is True


def test_a_seed_is_the_seed_of_the_split(folder: Path) -> None:
    assert document(folder, "--seed", 3)["seed"] == 3
    assert "seed 3" in smidgen("check", folder, "--seed", 3).out


@pytest.mark.parametrize("pattern", ["(", "zebra"])
def test_a_pattern_of_no_use_is_one_line_and_exit_code_2(folder: Path, pattern: str) -> None:
    done = smidgen("check", folder, "--group-by", pattern)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_download_of_what_is_no_set_is_refused(folder: Path) -> None:
    done = smidgen("check", folder, "--download")
    assert (done.code, done.out) == (2, "")
    assert "sets are cifar10, cifar100, digits" in done.err


def test_nothing_is_ever_written_to_the_data(folder: Path) -> None:
    (folder / "cat" / "p0_00.png").write_bytes(b"broken")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*")}
    smidgen("check", folder, "--skip-bad")
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*")}
