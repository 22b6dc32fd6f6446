"""The report survives the disk, and nonsense is refused by name."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import example_report
from smidgen.report.schema import Report, ReportError, complete, read, write


@pytest.fixture
def report() -> Report:
    return example_report.whole()


@pytest.fixture
def bare() -> Report:
    return example_report.bare()


def test_a_report_comes_back_as_it_was_written(report: Report, tmp_path: Path) -> None:
    assert read(write(tmp_path / "report.json", report)) == report


def test_what_was_not_measured_is_null_and_not_absent(bare: Report, tmp_path: Path) -> None:
    loaded = json.loads(write(tmp_path / "report.json", bare).read_text())
    assert {"test", "measured", "candidates", "provenance", "curves"} <= loaded.keys()
    assert loaded["test"] is None
    assert loaded["cost"]["weight_bytes"] is None


def test_numpy_numbers_become_numbers_and_nan_becomes_null(report: Report, tmp_path: Path) -> None:
    loose: dict[str, Any] = dict(copy.deepcopy(report))
    loose["cost"]["params"] = np.int64(28_412)
    loose["confusion"] = np.asarray(report["confusion"])
    loose["curves"][3]["val_loss"] = float("nan")
    text = write(tmp_path / "report.json", loose).read_text()
    loaded = json.loads(text)
    assert loaded["cost"]["params"] == 28_412
    assert loaded["confusion"] == report["confusion"]
    assert loaded["curves"][3]["val_loss"] is None
    assert "NaN" not in text


def test_keys_of_a_later_version_are_kept(report: Report, tmp_path: Path) -> None:
    written = write(tmp_path / "report.json", {**report, "energy_joules": 3})
    assert json.loads(written.read_text())["energy_joules"] == 3
    assert read(written)["network"] == report["network"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("network",), None, "network: missing"),
        (("cost", "params"), "many", "cost.params: 'many' is not a whole number"),
        (("cost", "params"), True, "cost.params: True is not a whole number"),
        (("candidates", 2, "val_accuracy"), "0.9", r"candidates\[2\].val_accuracy: '0.9' is not a number"),
        (("curves",), {}, "curves: {} is not a list"),
        (("confusion",), [[1, 2]], "confusion: not a square of 10"),
        (("confusion", 0, 0), -1, "below 0"),
        (("budget", "params"), 0, "budget.params: 0 is not above 0"),
        (("test", "accuracy"), 98.1, "98.1 of 269 is not a fraction"),
        (("test", "interval"), [0.9], "not a low and a high end"),
        (("test", "top5_accuracy"), 99.6, r"test.top5_accuracy: 99.6 is not a share between 0 and 1"),
        (("reliability", 1, "n"), 0, r"reliability\[1\].n: 0 pictures"),
        (("reliability", 2, "confidence"), None, r"reliability\[2\].confidence: missing"),
        (("none_of_these", "threshold"), 1.5, "none_of_these.threshold: 1.5 is not a share"),
        (("none_of_these", "kept"), "all", "none_of_these.kept: 'all' is not a number"),
        (("candidates", 0, "rungs", 1, "epochs"), None, r"candidates\[0\].rungs\[1\].epochs: missing"),
        (("contest", "rungs"), None, "contest.rungs: missing"),
        (("provenance", "data", "cut_away"), 25, "provenance.data.cut_away: 25 is not a share"),
        (("starting_point", "kind"), "luck", "starting_point.kind: 'luck' is not one of scratch, weights, t"),
        (("measured", "memory", "value"), 1.5, "measured.memory.value: 1.5 is not a whole number"),
    ],
)
def test_a_wrong_field_is_named(
    report: Report, path: tuple[str | int, ...], value: object, message: str
) -> None:
    broken: Any = copy.deepcopy(report)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ReportError, match=message):
        complete(broken)


@pytest.mark.parametrize("content", [None, b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_report_is_refused_with_its_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError, match=r"report\.json: ") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, report)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_of_an_older_version_gains_the_new_fields_as_null(report: Report) -> None:
    old: Any = copy.deepcopy(report)
    for key in ("reliability", "none_of_these", "contest", "starting_point"):
        del old[key]
    for row in old["candidates"]:
        del row["rungs"], row["weight_bytes"]
    for key in ("memory", "size_bytes", "note"):
        del old["measured"][key]
    for key in ("time_limit_s", "starts"):
        del old["provenance"][key]
    del old["test"]["balanced_accuracy"]
    whole = complete(old)
    assert (whole["reliability"], whole["none_of_these"]) == (None, None)
    assert (whole["contest"], whole["starting_point"]) == (None, None)
    assert whole["candidates"]
    assert whole["candidates"][0]["rungs"] is None
    assert whole["provenance"]
    assert whole["provenance"]["starts"] is None
