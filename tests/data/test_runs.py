"""Folders that hold runs are no classes, whatever they are called; classes that hold a run stay classes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import smidgen
from smidgen.data import (
    fingerprint,
    inspect_dataset,
    open_dataset,
    passed_over,
    passed_over_news,
    survey,
)
from smidgen.data.runs import holds_runs, is_run, read_record
from smidgen.predict import pictures_in
from smidgen.spec import DataError, SmidgenError
from smidgen.train.material import prepare
from smidgen.watch import Watch
from tiny_set import shapes

ELSEWHERE = "/nowhere/at/all"


class Lines(Watch):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)


def lay_run(
    folder: Path, data: str | Path = ELSEWHERE, name: str = "run.json", command: str = "smidgen fit"
) -> Path:
    """A run as far as it can be told: its record, and a picture as a search draws one."""
    folder.mkdir(parents=True)
    document: dict[str, Any] = {"format": 3, "job": {"data": str(data), "command": command}, "plan": {}}
    if name == "study.json":
        document = {"format": 2, "data": str(data), "agenda": {}}
    (folder / name).write_text(json.dumps(document))
    (folder / "search.png").write_bytes(b"")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return shapes(tmp_path / "photos", per_class=4)


@pytest.mark.parametrize(
    "place", ["run", "runs/photos-1", "project/runs/photos-1", "exp/2024/may/1/runs/photos-1"]
)
@pytest.mark.parametrize("record", ["run.json", "study.json"])
def test_a_folder_that_holds_a_run_is_no_class(photos: Path, place: str, record: str) -> None:
    before = open_dataset(photos)
    lay_run(photos / place, name=record)
    after = open_dataset(photos)
    assert after.classes == before.classes == ("circle", "cross", "square")
    assert after.pictures == before.pictures
    assert after.ignored == (place.split("/")[0] + "/",)
    assert fingerprint(after, survey(after)) == fingerprint(before, survey(before))


def test_the_folder_of_a_demo_is_no_class_though_it_holds_pictures(photos: Path) -> None:
    lay_demo(photos / "smidgen-demo")
    assert open_dataset(photos).classes == ("circle", "cross", "square")
    moved = photos.rename(photos.parent / "moved")  # its record names a place that is no more
    found = open_dataset(moved)
    assert found.classes == ("circle", "cross", "square")
    assert passed_over(found) == {"smidgen-demo/": 3}


def lay_demo(folder: Path) -> None:
    """Two classes of one picture as `smidgen demo` writes them, and a run on them, which drew a picture."""
    digits = shapes(folder / "digits", per_class=1)
    (digits / "circle").rename(digits / "0")
    (digits / "cross").rename(digits / "1")
    shutil.rmtree(digits / "square")
    lay_run(folder / "run-1", digits, command="smidgen demo --time 1m")


@pytest.mark.parametrize(
    ("foreign", "change"),
    [
        ("a picture beside", lambda demo: (demo / "mine.png").touch()),
        ("a folder beside", lambda demo: shapes(demo / "cats", per_class=1)),
        ("a class among the digits", lambda demo: shapes(demo / "digits" / "cats", per_class=1)),
        ("a file among the digits", lambda demo: (demo / "digits" / "mine.png").touch()),
        ("no run", lambda demo: (demo / "run-1" / "run.json").unlink()),
        ("another name", lambda demo: (demo / "digits").rename(demo / "numbers")),
        (
            "another command",
            lambda demo: (demo / "run-1" / "run.json").write_text('{"format": 3, "job": {}, "plan": {}}'),
        ),
    ],
)
def test_a_folder_that_holds_more_than_a_demo_is_a_class(
    photos: Path, foreign: str, change: Callable[[Path], object]
) -> None:
    lay_demo(photos / "smidgen-demo")
    change(photos / "smidgen-demo")
    assert "smidgen-demo" in open_dataset(photos).classes, foreign


@pytest.mark.parametrize("place", ["animals/run", "animals/runs/cats-1", "animals/a/runs/cats-1"])
def test_a_class_on_a_part_of_which_a_run_was_trained_stays_a_class(tmp_path: Path, place: str) -> None:
    for name in ("animals/cats", "plants/a", "rocks/a"):
        shapes(tmp_path / "p" / name, per_class=2)
    before = open_dataset(tmp_path / "p")
    lay_run(tmp_path / "p" / place, tmp_path / "p" / "animals" / "cats")
    lay_run(tmp_path / "p" / "plants" / "runs", tmp_path / "old" / "a")  # as it was before it was moved
    found = open_dataset(tmp_path / "p")
    assert found.classes == ("animals", "plants", "rocks")
    assert found.pictures == before.pictures


def test_every_folder_that_is_passed_over_is_said_with_its_pictures(photos: Path, fitted: Any) -> None:
    lay_run(photos / "runs" / "photos-1")
    lay_run(photos / "cross" / "deep" / "run")
    model = fitted.folder / "model.safetensors"
    lines = {
        "cross/deep/": "passed over, for it holds runs: cross/deep/ (1 picture in it)",
        "runs/": "passed over, for it holds runs: runs/ (1 picture in it)",
    }
    told = Lines()
    prepare(str(photos), watch=told)
    assert told.lines[:2] == [*lines.values()]
    scored = smidgen("eval", model, photos, "--part", "all")
    assert all(line in scored.out + scored.err for line in lines.values())
    predicted = smidgen("predict", model, photos)
    assert all(line.replace(name, f"{photos}/{name}") in predicted.err for name, line in lines.items())


def test_of_a_hundred_folders_that_are_passed_over_ten_are_named(photos: Path) -> None:
    for number in range(100):
        lay_run(photos / "cross" / f"run-{number:02}")
    *named, rest = passed_over_news(open_dataset(photos))
    assert len(named) == 10
    assert rest == "passed over: 90 more folders with runs, 90 pictures in them"


def test_check_calls_a_folder_a_folder(photos: Path) -> None:
    lay_run(photos / "runs" / "photos-1")
    (photos / "notes.txt").touch()
    told = smidgen("check", photos).out
    assert "1 file was passed over\n  notes.txt\n" in told
    assert "1 folder with runs was passed over\n  runs/ (1 picture)\n" in told


def test_pictures_that_a_file_server_made_are_none_of_a_folder_of_runs(photos: Path) -> None:
    lay_run(photos / "runs" / "photos-1")
    (photos / "runs" / "@eaDir").mkdir()
    (photos / "runs" / "@eaDir" / "small.jpg").touch()
    assert open_dataset(photos).classes == ("circle", "cross", "square")


@contextlib.contextmanager
def nobody(*folders: Path) -> Iterator[None]:
    """As a user who may enter these folders, but none that are closed: root may enter all."""
    for folder in folders:
        folder.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_folder_that_may_not_be_entered_is_named_by_fit_and_noted_by_predict(
    photos: Path, mode: int
) -> None:
    closed = photos / "cross" / "closed"
    closed.mkdir()
    (closed / "run.json").touch()
    closed.chmod(mode)
    bad: list[str] = []
    try:
        with nobody(*(place for place in (photos, *photos.parents) if not place.stat().st_mode & 0o001)):
            assert not holds_runs(closed)
            with pytest.raises(DataError, match=r"cross/closed: cannot be read \(Permission denied\)"):
                open_dataset(photos)
            found = [*pictures_in([str(photos)], bad.append, bad.append)]
    finally:
        closed.chmod(0o755)
    assert len(found) == 12
    assert bad == [f"{closed}: cannot be read (Permission denied)"]


@pytest.mark.parametrize("inside", ["cats/1.png", "digits/cats/1.png", "notes.txt", "digits"])
def test_a_demo_is_not_put_among_other_things(tmp_path: Path, inside: str) -> None:
    path = tmp_path / "photos" / inside
    path.parent.mkdir(parents=True)
    path.touch()
    outcome = smidgen("demo", "--into", tmp_path / "photos")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "holds other things" in outcome.err
    assert [path] == [found for found in (tmp_path / "photos").rglob("*") if found.is_file()]


@pytest.mark.parametrize("place", ["cross/run-1", "cross/runs/photos-1", "cross/deep/er/runs/photos-1"])
def test_a_class_in_which_a_run_was_left_stays_a_class(photos: Path, place: str) -> None:
    before = open_dataset(photos).pictures
    lay_run(photos / place, photos)
    found = open_dataset(photos)
    assert found.pictures == before
    (ignored,) = found.ignored
    assert (place + "/").startswith(ignored)


def test_a_class_with_deep_pictures_and_a_run_stays_a_class(photos: Path) -> None:
    (photos / "cross" / "holidays").mkdir()
    for path in (photos / "cross").glob("*.png"):
        path.rename(path.parent / "holidays" / path.name)
    before = open_dataset(photos).pictures
    lay_run(photos / "cross" / "run-1", photos)
    assert open_dataset(photos).pictures == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', "no JSON"])
def test_a_file_of_that_name_alone_is_no_run(photos: Path, content: str) -> None:
    (photos / "cross" / "run.json").write_text(content)
    assert not holds_runs(photos / "cross")
    assert open_dataset(photos).classes == ("circle", "cross", "square")


def test_runs_beside_the_parts_of_a_split_are_passed_over(tmp_path: Path) -> None:
    for part in ("train", "val"):
        shapes(tmp_path / "photos" / part, per_class=2)
    lay_run(tmp_path / "photos" / "runs" / "photos-1")
    lay_run(tmp_path / "photos" / "train" / "runs" / "train-1")
    found = inspect_dataset(tmp_path / "photos")
    assert (found.problems, found.classes) == ((), ("circle", "cross", "square"))
    assert found.ignored == ("runs/", "train/runs/")


def test_train_alone_beside_runs_is_a_split(tmp_path: Path) -> None:
    shapes(tmp_path / "photos" / "train", per_class=2)
    lay_run(tmp_path / "photos" / "runs" / "photos-1")
    assert set(open_dataset(tmp_path / "photos").given_split or ()) == {"train"}


def test_check_lists_what_was_passed_over_and_predict_passes_it_over(photos: Path, fitted: Any) -> None:
    lay_run(photos / "runs" / "photos-1")
    assert json.loads(smidgen("check", photos, "--json").out)["ignored"] == ["runs/"]
    told = smidgen("predict", fitted.folder / "model.safetensors", photos, "--json")
    assert (told.code, told.out.count("\n"), "search.png" in told.out) == (0, 12, False)


@pytest.mark.parametrize(("name", "other"), [("run.json", "study.json"), ("study.json", "run.json")])
def test_a_run_taken_for_a_search_and_the_other_way_round_says_what_to_do(
    tmp_path: Path, name: str, other: str
) -> None:
    folder = lay_run(tmp_path / "it's", name=other)
    assert is_run(folder)
    with pytest.raises(SmidgenError, match=r"`smidgen (search --resume|resume) '.*it'.*s'`"):
        read_record(folder, name)


# What loads torch is a mistake that is found too late.
WITHOUT_TORCH = """
import sys
class Loaded:
    def find_spec(self, name, *_):
        if name == "torch":
            raise AssertionError("torch was loaded")
sys.meta_path.insert(0, Loaded())
from smidgen.cli import main
main()
"""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("resume nosuch", "No such file"),
        ("resume a.txt", "Not a directory"),
        ("resume photos", "No such file"),
        ("resume finished", "this run is finished"),
        ("search --resume nosuch", "No such file"),
        ("search --resume finished", "this is a run"),
        ("search photos --family nosuch", "nosuch"),
        ("search photos --family resnet --rules nosuch", "nosuch"),
        ("search photos --family resnet --out photos", "exists"),
        ("search photos --family resnet --out photos/x", "lies inside the data"),
        ("eval nosuch photos", "no network 'nosuch'"),
        ("eval a.txt photos", "not a model file"),
        ("eval resnet20 photos", "no published weights"),
        ("eval squeezenet1_1 nosuch", "no folder, CSV or set 'nosuch'"),
        ("fit photos --budget params=many", "many"),
        ("fit photos --budget params=8k --family nosuch", "nosuch"),
        ("fit photos --budget params=8k --device nosuch.json", "cannot be read"),
        ("fit photos --budget params=8k --out photos", "exists"),
        ("fit photos --budget params=8k --seed -1", "seed=-1"),
        ("fit photos --budget params=8k --resolution 0", "resolution=0"),
        ("fit photos --budget params=8k --group-by (", "group"),
        ("train photos --model resnet20 --learning-rate -1", "--learning-rate"),
        ("fit photos --budget params=8k --out photos/run", "lies inside the data"),
        ("fit nosuch --budget params=8k", "no folder, CSV or set 'nosuch'"),
        ("train photos --model nosuch", "nosuch"),
        ("train photos --model resnet20 --recipe nosuch", "no recipe 'nosuch'"),
        ("train photos --model resnet20 --weights nosuch", "no published weights"),
        ("train photos --model squeezenet1_1 --weights nosuch", "has no weights 'nosuch'"),
        ("demo --out photos", "exists"),
        ("convert nosuch.pth --as resnet20", "No such file"),
        ("convert a.txt --as nosuch", "nosuch"),
        ("convert a.txt --as resnet20 -o photos", "a folder"),
        ("predict nosuch photos --engine torch", "no network 'nosuch'"),
        ("predict a.txt photos --engine torch", "not a model file"),
        ("report nosuch", "no such folder"),
    ],
)
def test_a_mistake_that_is_visible_without_torch_is_found_without_it(
    photos: Path, line: str, reason: str
) -> None:
    place = photos.parent
    (place / "a.txt").write_text("nothing of use")
    (lay_run(place / "finished") / "report.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *line.split()],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr[-1000:]
    assert reason in done.stderr
