"""A study that many work on, and that any of them may leave at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.tiny_search import BUDGETS, GRID, agenda, at_once, begun, score
from smidgen.search.agenda import Task
from smidgen.search.study import MOST_DEATHS, Result, Study
from smidgen.search.worker import work
from smidgen.spec import DependencyError, SmidgenError
from smidgen.train.errors import Interrupted, TrainingError


def never() -> bool:
    return False


def test_one_worker_does_every_task_once(tmp_path: Path) -> None:
    study = begun(tmp_path / "s", agenda(grid=GRID))
    work(study, at_once, never)
    tasks = [row.task for row in study.rows()]
    assert study.finished()
    assert len(tasks) == len(set(tasks))
    assert set(tasks) == set(study.agenda.due(study.scores()))
    assert study.scores() == {task: score(task) for task in tasks}


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    work(study, at_once, never)
    tasks = study.agenda.tasks_of("width", BUDGETS[0])
    right = Study(study.folder).right(tasks)
    assert right is not None
    for task, found in zip(tasks, right, strict=True):
        assert np.array_equal(found, np.arange(4) / 4 < score(task))


def test_two_at_a_time_never_take_the_same_task(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    first, second = study.claim(), Study(study.folder).claim()
    assert first is not None
    assert second is not None
    assert first.task != second.task
    assert study.deaths() == 0


def test_threads_of_workers_share_a_study(tmp_path: Path) -> None:
    folder = begun(tmp_path / "s", agenda(grid=GRID)).folder
    threads = [threading.Thread(target=work, args=(Study(folder), at_once, never)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = Study(folder)
    tasks = [row.task for row in study.rows()]
    assert study.finished()
    assert len(tasks) == len(set(tasks))
    assert study.deaths() == 0


# Does some tasks at once, says that it is in the middle of the next one, and stays there.
BLOCKING = """
import sys, threading
from pathlib import Path
from search.tiny_search import at_once
from smidgen.search.study import Study
from smidgen.search.worker import work
left = int(sys.argv[2])
def perform(task, stopping):
    global left
    if left == 0:
        print("in the middle", flush=True)
        threading.Event().wait()
    left -= 1
    return at_once(task, stopping)
work(Study(Path(sys.argv[1])), perform, lambda: False)
"""


def killed_in_the_middle(folder: Path, after: int) -> int:
    """A worker of its own process, killed in its next task after so many; its process number."""
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKING, str(folder), str(after)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout as words:
        assert words.readline() == "in the middle\n"
        process.send_signal(signal.SIGKILL)
    return process.pid


def test_a_killed_worker_loses_its_running_task_only(tmp_path: Path) -> None:
    study = begun(tmp_path / "s", agenda(grid=GRID))
    dead = killed_in_the_middle(study.folder, after=3)
    kept = {row.number for row in study.rows()}
    assert len(kept) == 3
    work(study, at_once, never)
    rows = study.rows()
    assert study.deaths() == 1
    assert {row.number for row in rows if row.process.endswith(f":{dead}")} == kept
    assert len(rows) == len({row.task for row in rows})
    expected = begun(tmp_path / "unbroken", agenda(grid=GRID))
    work(expected, at_once, never)
    assert study.scores() == expected.scores()


def test_the_living_take_over_from_the_dead(tmp_path: Path) -> None:
    """A worker that holds a task while another is killed keeps it, and does the other's too."""
    study = begun(tmp_path / "s")
    mine = study.claim()
    assert mine is not None
    killed_in_the_middle(study.folder, after=0)
    next_one = study.claim()
    assert next_one is not None
    assert next_one.task != mine.task
    assert study.deaths() == 1
    study.report(mine, at_once(mine.task, never))
    assert mine.task in study.scores()


def test_a_task_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    for _ in range(MOST_DEATHS):
        claim = study.claim()
        assert claim is not None
        claim.lock.release()  # as the system does when a process ends
    work(study, at_once, never)
    (lost,) = (row for row in study.rows() if row.accuracy is None)
    assert study.finished()
    assert f"{MOST_DEATHS} workers died" in lost.note


def test_a_stopped_worker_gives_its_task_back(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    begun_tasks: list[Task] = []

    def stopped(task: Task, _stopping: Callable[[], bool]) -> Result:
        begun_tasks.append(task)
        raise Interrupted(1, 2)

    for _ in range(MOST_DEATHS + 1):  # stops are no deaths, however many
        work(study, stopped, never)
    assert len(set(begun_tasks)) == 1
    assert (study.deaths(), study.rows()) == (0, ())
    work(study, at_once, never)
    assert study.scores()[begun_tasks[0]] == score(begun_tasks[0])


def test_a_training_gone_wrong_is_a_row_and_not_repeated(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    tried: list[Task] = []

    def diverging(task: Task, stopping: Callable[[], bool]) -> Result:
        tried.append(task)
        if task.rule == "width":
            raise TrainingError("the loss is nan")
        return at_once(task, stopping)

    work(study, diverging, never)
    assert len(tried) == len(set(tried))
    wrong = [row for row in study.rows() if row.accuracy is None]
    assert {(row.task.rule, row.note) for row in wrong} == {("width", "the loss is nan")}
    assert study.right(study.agenda.tasks_of("width", BUDGETS[0])) is None


def test_a_report_after_ones_own_funeral_changes_nothing(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    claim = study.claim()
    assert claim is not None
    claim.lock.release()  # as a file server does that has not heard of a machine for long
    other = Study(study.folder)
    again = other.claim()
    assert again is not None
    assert again.task == claim.task
    study.report(claim, Result(0.123))
    assert study.rows() == ()
    other.report(again, at_once(again.task, never))
    assert study.scores() == {again.task: score(again.task)}


def test_half_a_line_at_the_journals_end_is_cut_off(tmp_path: Path) -> None:
    study = begun(tmp_path / "s")
    claim = study.claim()
    assert claim is not None
    study.report(claim, at_once(claim.task, never))
    with (study.folder / "journal.log").open("a") as file:
        file.write('{"op_code": 8, "wor')
    again = Study(study.folder)
    work(again, at_once, never)
    assert Study(study.folder).scores().keys() == set(study.agenda.due(again.scores()))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "begins a study"), ("nothing", "not the record"), ("[]", "not the record")],
)
def test_a_folder_without_a_study_is_one_line(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(SmidgenError, match=words):
        Study(tmp_path)


def test_another_versions_study_is_refused(tmp_path: Path) -> None:
    path = begun(tmp_path / "s").folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0.0.0"}))
    with pytest.raises(SmidgenError, match=r"begun with smidgen 0\.0\.0"):
        Study(path.parent)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match=r"pip install 'smidgen\[train\]'"):
        Study(tmp_path)
