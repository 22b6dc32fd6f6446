"""A run that is stopped at any stage and taken up ends as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from command_line import smidgen
from smidgen import report
from smidgen.run import Fitted, Job, fit, record, resume, train_one
from smidgen.run.plan import Trial
from smidgen.scaling import solve
from smidgen.spec import Budget, SmidgenError, StoppedError
from smidgen.train.checkpoint import latest
from smidgen.train.distil import VIEWS, Teacher
from smidgen.train.material import Material
from smidgen.train.recipe import recipe
from smidgen.train.views import Views
from smidgen.watch import Watch
from tiny_set import files, shapes

torch.set_num_threads(1)

BUDGET = Budget(params=8_000)
FAMILIES = ("resnet", "shiftnet")
EPOCHS = 5


class Stopping(Watch):
    """Asks for a stop in the nth stage of the training, once so many of its steps are done."""

    def __init__(self, stage: int, steps: int) -> None:
        self.stages, self.steps = stage, steps
        self.lines: list[str] = []

    def heading(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        self.stages -= 1
        self.stop = stop
        yield

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        del label  # stages are told apart by their order

        def report(done: int, _total: int) -> None:
            if self.stages == 0 and done >= self.steps and hasattr(self, "stop"):
                self.stop()

        yield report


class Breaking(Watch):
    """Presses Ctrl-C when a heading comes up: between two stages, where nothing catches it."""

    def __init__(self, words: str) -> None:
        self.words = words

    def heading(self, text: str) -> None:
        if self.words in text:
            raise KeyboardInterrupt


def teacher(material: Material, _watch: Watch, _sizes: int) -> Trial:
    """A small network that starts from nothing, in place of a published one."""
    solution = solve("squeezenet", BUDGET, num_classes=3, c_in=3, resolution=material.resolution)
    return Trial(material.fitted(solution.network), recipe("tuning").shortened(2))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=36)  # two steps an epoch


@pytest.fixture(autouse=True)
def taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.run.lineup.teacher_trial", teacher)
    monkeypatch.setattr("smidgen.run.lineup.published_trials", lambda *_: [])


def job(data: Path, out: Path, workers: int = 1, from_scratch: bool = False) -> Job:
    return Job(str(data), epochs=EPOCHS, seed=3, out=out, workers=workers, from_scratch=from_scratch)


@pytest.fixture
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The run that was never stopped; worked out once."""
    if "run" not in _WHOLE:
        _WHOLE["run"] = fit(job(tiny, tmp_path_factory.mktemp("whole") / "run"), BUDGET, Watch(), FAMILIES)
    return _WHOLE["run"]


_WHOLE: dict[str, Fitted] = {}


def stopped(data: Path, out: Path, stage: int, steps: int, workers: int = 1) -> str:
    with pytest.raises(StoppedError) as caught:
        fit(job(data, out, workers), BUDGET, Stopping(stage, steps), FAMILIES)
    assert (out / "run.json").exists()
    assert not (out / "report.json").exists()
    return str(caught.value)


def assert_same(run: Fitted, whole: Fitted) -> None:
    """Equal in every bit of the weights, and in all that was decided on the way."""
    assert (run.folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()
    assert timeless(run) == timeless(whole)
    names = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*")}
    assert names == {str(path.relative_to(whole.folder)) for path in whole.folder.rglob("*")}


def timeless(run: Fitted) -> dict[str, object]:
    """What the report says, without seconds."""
    document = json.loads(
        json.dumps([run.report[key] for key in ("candidates", "contest", "curves", "test")])
    )
    return {"rows": without_seconds(document)}


def without_seconds(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


def test_the_whole_run_has_every_stage(whole: Fitted) -> None:
    start, contest = whole.report["starting_point"], whole.report["contest"]
    assert start is not None
    assert contest is not None
    assert start["kind"] == "teacher"
    assert len(contest["rungs"]) == 3
    assert {path.name for path in (whole.folder / "teacher").iterdir()} == {"metrics.csv"}


@pytest.mark.parametrize(
    ("stage", "steps"), [(1, 1), (1, 3), (2, 1), (2, 200), (3, 1), (3, 5), (4, 3), (5, 7)]
)
def test_a_stop_in_any_stage_changes_no_bit(
    tiny: Path, tmp_path: Path, whole: Fitted, stage: int, steps: int
) -> None:
    before = files(tiny)
    line = stopped(tiny, tmp_path / "run", stage, steps)
    assert f"`smidgen resume {tmp_path / 'run'}` goes on from there" in line
    assert "\n" not in line
    assert_same(resume(tmp_path / "run", Watch()), whole)
    assert files(tiny) == before


def test_lessons_that_were_given_are_not_given_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """36 + 36 + 36 pictures, 70 % of them to train, all looked at at once: a stop in the fourth view."""
    stopped(tiny, tmp_path / "run", 2, 270)
    lessons = tmp_path / "run" / "teacher" / "lessons"
    assert len(list(lessons.iterdir())) == 4
    views: list[int] = []
    look = Teacher._view

    def looked(self: Teacher, data: Views, view: int, *more: Any) -> Tensor:
        views.append(view)
        return look(self, data, view, *more)

    monkeypatch.setattr(Teacher, "_view", looked)
    resume(tmp_path / "run", Watch())
    assert views == list(range(4, VIEWS))
    assert not lessons.exists()


def test_a_damaged_lesson_is_given_again(tiny: Path, tmp_path: Path, whole: Fitted) -> None:
    stopped(tiny, tmp_path / "run", 3, 1)
    first, second, third, *_ = sorted((tmp_path / "run" / "teacher" / "lessons").iterdir())
    first.write_bytes(first.read_bytes()[:100])
    second.write_bytes(b"")
    third.write_bytes(third.read_bytes()[:-1] + b"\xff")  # whole, and not what was written
    assert_same(resume(tmp_path / "run", Watch()), whole)


def test_a_stop_with_two_workers_changes_no_bit(tiny: Path, tmp_path: Path) -> None:
    unbroken = fit(job(tiny, tmp_path / "whole", workers=2), BUDGET, Watch(), FAMILIES)
    stopped(tiny, tmp_path / "run", 3, 3, workers=2)
    assert_same(resume(tmp_path / "run", Watch()), unbroken)


def test_a_stop_of_a_resumed_run_can_be_resumed(tiny: Path, tmp_path: Path, whole: Fitted) -> None:
    stopped(tiny, tmp_path / "run", 1, 1)
    with pytest.raises(StoppedError):
        resume(tmp_path / "run", Stopping(2, 1))
    run = resume(tmp_path / "run", Watch())
    assert_same(run, whole)
    assert len(record.read(tmp_path / "run").starts) == 3


@pytest.mark.parametrize(
    "words", ["views of every picture", "to compare them", "on to epoch 5", "the test pictures"]
)
def test_a_break_between_two_stages_changes_no_bit(
    tiny: Path, tmp_path: Path, whole: Fitted, words: str
) -> None:
    with pytest.raises(KeyboardInterrupt, match=r"interrupted; `smidgen resume .*` goes on from there"):
        fit(job(tiny, tmp_path / "run"), BUDGET, Breaking(words), FAMILIES)
    assert_same(resume(tmp_path / "run", Watch()), whole)


def test_a_training_of_one_network_goes_on_too(tiny: Path, tmp_path: Path) -> None:
    def build(material: Material) -> object:
        return solve("resnet", BUDGET, num_classes=3, c_in=3, resolution=material.resolution).network

    asked = [job(tiny, tmp_path / name, from_scratch=True) for name in ("whole", "run")]
    unbroken = train_one(asked[0], build, None, Watch())  # type: ignore[arg-type]
    with pytest.raises(StoppedError):
        train_one(asked[1], build, None, Stopping(1, 3))  # type: ignore[arg-type]
    assert_same(resume(tmp_path / "run", Watch()), unbroken)


def refusal(folder: Path) -> str:
    """What the command says; nothing in the folder changes."""
    before = files(folder)
    done = smidgen("resume", folder, "--json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert files(folder) == before
    return done.err


def test_a_finished_run_is_refused_and_left_alone(whole: Fitted) -> None:
    assert "this run is finished; its report is" in refusal(whole.folder)


@pytest.fixture(scope="module")
def begun(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with data and a run on them that was stopped; its users copy it back and forth."""
    place = tmp_path_factory.mktemp("begun")
    shutil.copytree(tiny, place / "data")
    asked = job(place / "data", place / "run", from_scratch=True)
    with pytest.raises(StoppedError):
        fit(asked, BUDGET, Stopping(1, 1), ("shiftnet",))
    return place


@pytest.mark.parametrize("change", ["another picture", "one less", "another class", "another name", "gone"])
def test_changed_data_are_refused(tiny: Path, begun: Path, change: str) -> None:
    data = begun / "data"
    match change:
        case "another picture":
            Image.new("RGB", (16, 16), (1, 2, 3)).save(data / "circle" / "000.png")
        case "one less":
            (data / "circle" / "000.png").unlink()
        case "another name":
            (data / "circle" / "000.png").rename(data / "circle" / "zzz.png")
        case "another class":
            (data / "circle").rename(data / "disc")
        case _:
            shutil.rmtree(data)
    try:
        line = refusal(begun / "run")
    finally:
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(tiny, data)
    assert ("no such folder" if change == "gone" else "has changed since") in line


def test_a_copy_of_the_run_goes_on_elsewhere(begun: Path, tmp_path: Path) -> None:
    shutil.copytree(begun / "run", tmp_path / "moved")
    done = resume(tmp_path / "moved", Watch())
    assert done.folder == tmp_path / "moved"
    assert report.read(tmp_path / "moved" / "report.json") == done.report


def test_checkpoints_that_are_all_damaged_are_one_line(begun: Path, tmp_path: Path) -> None:
    shutil.copytree(begun / "run", tmp_path / "run")
    (folder,) = (tmp_path / "run").glob("candidates/01-*/checkpoints")
    assert latest(folder) is not None
    for path in folder.glob("*/model.safetensors"):
        path.write_bytes(b"nothing")
    with pytest.raises(SmidgenError, match="is whole") as caught:
        resume(tmp_path / "run", Watch())
    assert "\n" not in str(caught.value)
