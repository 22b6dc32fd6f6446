"""Long commands that are stopped: exit code 130, one line that says how to go on, and a run that does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smidgen as package
from command_line import smidgen
from smidgen.cli.running import Duration
from tiny_set import files, shapes

OPTIONS = ("--budget", "params=8k", "--family", "resnet", "--from-scratch")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the runs that end in this process the clocking of their model."""
    monkeypatch.setattr("smidgen.run.evidence.measure", lambda *_: (None, "not here"))
    monkeypatch.setattr("smidgen.run.evidence.measure_memory", lambda *_: (None, "not here"))


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def begun(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "smidgen", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(), text=True, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("number", "more"), [(signal.SIGTERM, []), (signal.SIGINT, ["--json"])], ids=["SIGTERM", "Ctrl-C, JSON"]
)
def test_a_process_that_is_asked_to_stop_can_be_resumed(
    data: Path, tmp_path: Path, number: signal.Signals, more: list[str]
) -> None:
    before, run = files(data), tmp_path / "run"
    always = ("--epochs", 60, "--out", run)
    process = begun("fit", data, *OPTIONS, *always, *more)
    while process.poll() is None and not list(run.glob("candidates/*/metrics.csv")):
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    asked, line = err.splitlines()
    assert asked == "stopping after this step; once more to stop at once"
    assert line.startswith("stopped after step ")
    assert f"`smidgen resume {run}` goes on from there" in line
    if more:
        assert out == ""
    done = smidgen("resume", run, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == json.loads((run / "report.json").read_text())
    assert files(data) == before
    assert not list(run.rglob("checkpoints"))


# Only what is written in one file counts, as on a disk that is full: nothing larger than so many bytes.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from smidgen.cli import main
main()
"""


def test_a_full_disk_is_one_line_and_leaves_a_run_that_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    roomy = ("--budget", "params=300k", "--family", "squeezenet", "--from-scratch")
    command = ["fit", str(data), *roomy, "--epochs", "1", "--out", str(run)]
    full = subprocess.run(
        [sys.executable, "-c", LIMITED, "400000", *command],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (full.returncode, full.stderr.count("\n")) == (2, 1), full.stderr
    assert "cannot be written (File too large); make room, then resume" in full.stderr
    left = sorted(path.name for path in run.iterdir())
    assert left == [".lock", "candidates", "run.json"]
    assert not list(run.rglob("*unfinished*"))
    done = smidgen("resume", run, "--json")
    assert (done.code, done.err) == (0, "")
    assert (run / "report.html").exists()


def test_an_interrupt_that_nothing_waits_for_is_one_line_and_keeps_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "a" / "run"
    with monkeypatch.context() as patch:
        patch.setattr("smidgen.train.loop.learning_rate", interrupted)
        outcome = smidgen("train", data, "--model", "resnet20", "--epochs", 1, "--out", run)
    assert outcome.code == 130
    assert outcome.err.strip() == f"interrupted; `smidgen resume {run}` goes on from there"
    assert (run / "run.json").exists()
    assert smidgen("resume", run, "--json").code == 0


def test_an_interrupt_while_the_pictures_are_checked_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smidgen.train.material.survey", interrupted)
    outcome = smidgen("fit", data, *OPTIONS, "--epochs", 1, "--out", tmp_path / "a" / "run")
    assert (outcome.code, outcome.err.strip()) == (130, "interrupted")
    assert files(tmp_path) == {}


def seconds(text: str) -> float:
    return Duration().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2h ", 7200), ("0.5", 0.5), ("1e3", 1000)],
)
def test_times_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@given(st.floats(0.001, 1e6), st.sampled_from([("", 1), ("s", 1), ("m", 60), ("h", 3600)]))
def test_every_number_with_every_unit_is_read(number: float, unit: tuple[str, int]) -> None:
    assert seconds(f"{number!r}{unit[0]}") == pytest.approx(number * unit[1])


@pytest.mark.parametrize(
    "text", ["", " ", "m", "ten", "10d", "1h30m", "10 m s", "0", "-5m", "nan", "inf", "1e999"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no time; write 90s, 10m or 2h|must be above 0"):
        seconds(text)


@pytest.mark.parametrize("text", ["soon", "0s", "-1"])
def test_a_command_refuses_it_in_one_line(data: Path, tmp_path: Path, text: str) -> None:
    done = smidgen("fit", data, *OPTIONS, "--time", text, "--out", tmp_path / "run")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert text in done.err
    assert list(tmp_path.iterdir()) == []
