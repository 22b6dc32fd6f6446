"""`run.json`: written and read back whole, refused in one line when damaged, and held by one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smidgen as package
from command_line import smidgen
from smidgen import families
from smidgen.run import Job, record
from smidgen.run.plan import Plan, Start, Trial, rungs_for
from smidgen.run.record import Record
from smidgen.spec import Budget, SmidgenError
from smidgen.train.recipe import recipe
from tiny_set import files

NETWORK = families.network("resnet20", num_classes=2, resolution=16)
TRIAL = Trial(NETWORK, recipe("small"))
PLAN = Plan(
    (TRIAL, TRIAL), rungs_for(2, 1), Trial(NETWORK, recipe("tuning"), start=Start("resnet20", "imagenet"))
)
RECORD = Record(
    Job("digits", time_limit=60.0, out=Path("runs", "ä")),
    Budget(params=5, macs=7),
    PLAN,
    "ab",
    2,
    4,
    ("one",),
)


@pytest.mark.parametrize("budget", [RECORD.budget, None])
def test_a_record_comes_back(tmp_path: Path, budget: Budget | None) -> None:
    written = Record(RECORD.job, budget, PLAN, "ab", 2, 4, ("one", "two"))
    record.write(tmp_path, written)
    assert record.read(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_taking_up_adds_a_start_and_changes_nothing_else() -> None:
    again = record.taken_up(RECORD, "now")
    assert again.starts == ("one", "now")
    assert (again.job, again.budget, again.plan) == (RECORD.job, RECORD.budget, RECORD.plan)


def test_a_record_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(SmidgenError, match=r"run\.json: cannot be written \([^\n]+\)$"):
        record.write(tmp_path, RECORD)


def refusal(folder: Path) -> str:
    """The one line of `resume`; nothing in the folder changes."""
    before = files(folder)
    done = smidgen("resume", folder)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert files(folder) == before
    return done.err


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b'"x"', b"{}", b"[" * 100_000]
)
def test_what_is_no_record_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert "run.json: not " in refusal(tmp_path)


def test_a_folder_without_a_record_says_what_makes_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert "`smidgen fit` and `train` make a run folder" in refusal(folder)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    record.write(tmp_path, RECORD)
    found: dict[str, Any] = json.loads((tmp_path / "run.json").read_text())
    return found


def test_another_format_is_named(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(document | {"format": 99}))
    assert "format 99; this version knows 4" in refusal(tmp_path)


@pytest.mark.parametrize("key", ["format", "job", "budget", "plan", "arrangement", "workers", "starts"])
def test_a_record_that_lacks_something_is_one_line(
    tmp_path: Path, document: dict[str, Any], key: str
) -> None:
    del document[key]
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert f"not the record of a run (KeyError('{key}'))" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("job", 3),
        ("job", {}),
        ("job/every", "often"),
        ("job/time_limit", "long"),
        ("budget", [1]),
        ("budget", {"params": "few"}),
        ("budget", {"grams": 3}),
        ("plan", None),
        ("plan/trials", 3),
        ("plan/trials", []),
        ("plan/trials/0", {}),
        ("plan/trials/0/recipe/epochs", 0),
        ("plan/trials/0/recipe/epochs", "many"),
        ("plan/trials/0/network/tree", None),
        ("plan/rungs", []),
        ("plan/rungs/0", {"share": 1.0}),
        ("plan/rungs/0/share", "half"),
        ("plan/rungs/0/kept", 0),
        ("plan/teacher", 3),
        ("workers", 0),
        ("workers", "two"),
        ("starts", 3),
    ],
)
def test_a_record_with_something_else_in_it_is_one_line(
    tmp_path: Path, document: dict[str, Any], place: str, value: object
) -> None:
    *way, last = place.split("/")
    inner: Any = document
    for step in way:
        inner = inner[int(step) if isinstance(inner, list) else step]
    inner[int(last) if isinstance(inner, list) else last] = value
    (tmp_path / "run.json").write_text(json.dumps(document))
    with pytest.raises(SmidgenError) as caught:
        record.read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run folder."""
    record.write(tmp_path, RECORD)
    code = (
        "import pathlib, sys; from smidgen.run import record\n"
        "with record.locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_sent_away_until_the_first_is_gone(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    assert "another process trains there" in refusal(tmp_path)
    held.kill()
    held.wait()
    with record.locked(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "run.json"}
