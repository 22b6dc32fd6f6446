"""A search that any number of processes work on: an Optuna study in a folder that they share.

The journal says what was done. A worker holds a lock on its trial as long as it lives; the system frees
the lock of one that was killed, so its trial is recognised at once and done anew, without clocks or
heartbeats. Every write happens under the study's own lock.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
from numpy.typing import NDArray

import smidgen
from smidgen import atomic
from smidgen.data import read_record
from smidgen.data.runs import STUDY as RECORD
from smidgen.search.agenda import Agenda, Task
from smidgen.search.journal import opened
from smidgen.spec import DependencyError, SmidgenError

if TYPE_CHECKING:
    import optuna

__all__ = ["RECORD", "Claim", "Result", "Study", "TaskRow", "require_optuna"]

MOST_DEATHS = 3  # of workers over one task, before it counts as gone wrong
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What a training came to.

    accuracy, loss  on the validation pictures; None where the training went wrong, and `note` says why
    right           bool[pictures], whether each validation picture was named right
    """

    accuracy: float | None = None
    loss: float | None = None
    right: NDArray[np.bool_] | None = None
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One finished task, as the journal has it.

    number   of the trial; its answers lie in answers/NUMBER.npz
    process  that did it, with its machine's name
    """

    number: int
    task: Task
    accuracy: float | None
    loss: float | None = None
    seconds: float = 0.0
    process: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that this process has taken; the lock says that the process is alive."""

    task: Task
    trial: optuna.Trial
    lock: filelock.FileLock


def require_optuna() -> None:
    """Raise DependencyError, with what to install, unless Optuna is there."""
    if importlib.util.find_spec("optuna") is None:
        raise DependencyError("a search needs optuna: pip install 'smidgen[train]'")


class Study:
    """A search's folder.

    agenda  what there is to train
    about   what else its record holds: data, fingerprint, command
    Raises  SmidgenError where the folder holds none, or another version's; DependencyError
    """

    def __init__(self, folder: Path) -> None:
        require_optuna()
        self.folder = folder
        self.about = _read(folder / RECORD)
        try:
            self.agenda = Agenda.from_json(self.about["agenda"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SmidgenError(f"{folder / RECORD}: not the record of a search ({error!r:.80})") from None
        self._lock = filelock.FileLock(folder / "study.lock")
        with self._lock:
            journal = folder / "journal.log"
            if not journal.exists() and any((folder / "answers").glob("*")):
                raise SmidgenError(f"{journal} is missing; what was trained cannot be told without it")
            try:
                self._study = opened(journal, self._lock)
            except (ValueError, KeyError, OSError) as error:
                raise SmidgenError(f"{journal}: damaged, or not a search's ({error!r:.80})") from None

    @classmethod
    def create(cls, folder: Path, agenda: Agenda, about: Mapping[str, Any]) -> Study:
        """Begin a study in an existing folder."""
        for name in ("running", "answers"):
            (folder / name).mkdir()
        document = {"format": _FORMAT, "version": smidgen.__version__, **about, "agenda": agenda.to_json()}
        atomic.write_text(folder / RECORD, json.dumps(document, indent=1) + "\n")
        return cls(folder)

    def claim(self) -> Claim | None:
        """Take the next task; None where there is none now.

        Tasks whose workers were killed are due again.
        """
        with self._lock:
            self._bury()
            rows, running = self.rows(), {_task(trial) for trial in self._trials("RUNNING")}
            due = self.agenda.due(_scores(rows))
            done = {row.task for row in rows}
            task = next((task for task in due if task not in done and task not in running), None)
            return None if task is None else self._take(task)

    def report(self, claim: Claim, result: Result) -> None:
        """Keep a task's result. One that was declared dead meanwhile reports in vain."""
        with self._lock, _released(claim):
            number = claim.trial.number
            if number not in {trial.number for trial in self._trials("RUNNING")}:
                return
            if result.right is not None:
                with atomic.replacing(self._answers(number)) as path, path.open("wb") as file:
                    np.savez_compressed(file, right=result.right)
            claim.trial.set_user_attr(
                "row",
                {
                    "accuracy": result.accuracy,
                    "loss": result.loss,
                    "seconds": result.seconds,
                    "process": f"{socket.gethostname()}:{os.getpid()}",
                    "note": result.note,
                },
            )
            self._end(number, result.accuracy)

    def give_back(self, claim: Claim) -> None:
        """Leave a task to whoever comes next; unlike a death, this is no mark against it."""
        with self._lock, _released(claim):
            claim.trial.set_user_attr("given_back", True)
            self._end(claim.trial.number, None)

    def rows(self) -> tuple[TaskRow, ...]:
        """Every finished task, in the order of the agenda's numbers, those that killed their workers too."""
        rows = [_row(trial) for trial in self._trials("COMPLETE", "FAIL") if "row" in trial.user_attrs]
        known = {row.task for row in rows}
        deaths = Counter(map(_task, self._dead()))
        dead = [task for task, count in deaths.items() if count >= MOST_DEATHS and task not in known]
        note = f"{MOST_DEATHS} workers died over it"
        return (*rows, *(TaskRow(-1, task, None, note=note) for task in dead))

    def deaths(self) -> int:
        """Trials that ended with their worker."""
        return len(self._dead())

    def scores(self) -> dict[Task, float]:
        """Accuracy of every finished task, as the agenda wants it."""
        return _scores(self.rows())

    def finished(self) -> bool:
        """Whether nothing is left to train."""
        scores = self.scores()
        return all(task in scores for task in self.agenda.due(scores))

    def right(self, tasks: Sequence[Task]) -> NDArray[np.bool_] | None:
        """Answers to the validation pictures, bool[tasks, pictures]; None where one of them has none."""
        numbers = {row.task: row.number for row in self.rows() if row.accuracy is not None}
        if any(task not in numbers for task in tasks):
            return None
        try:
            return np.stack([_right(self._answers(numbers[task])) for task in tasks])
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
        ) as error:
            kind = type(error).__name__
            raise SmidgenError(f"{self.folder / 'answers'}: a file there is damaged ({kind})") from None

    def _take(self, task: Task) -> Claim:
        """A trial of the task, running, with its lock held by this process."""
        if not self._trials("WAITING"):  # else somebody died between these two lines, before this same task
            self._study.enqueue_trial(task._asdict())
        trial = self._study.ask()
        names = dict.fromkeys([*(group[0] for group in self.agenda.grid), *self.agenda.rules, "base"])
        budgets = [self.agenda.base_macs, *self.agenda.budgets]
        taken = Task(
            str(trial.suggest_categorical("rule", list(names))),
            int(trial.suggest_categorical("macs", budgets)),
            trial.suggest_int("seed", 0, self.agenda.seeds - 1),
            trial.suggest_int("epochs", 1, self.agenda.recipe.epochs),
        )
        lock = self._running(trial.number)
        lock.acquire()
        return Claim(taken, trial, lock)

    def _bury(self) -> None:
        """End the trials whose workers are no more."""
        for trial in self._trials("RUNNING"):
            lock = self._running(trial.number)
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=0)
                self._end(trial.number, None)
                _let_go(lock)

    def _dead(self) -> list[optuna.trial.FrozenTrial]:
        """Trials that ended without a word."""
        return [trial for trial in self._trials("FAIL") if not {"row", "given_back"} & {*trial.user_attrs}]

    def _end(self, number: int, accuracy: float | None) -> None:
        from optuna.trial import TrialState

        state = TrialState.FAIL if accuracy is None else TrialState.COMPLETE
        self._study.tell(number, accuracy, state=state)

    def _trials(self, *states: str) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self._study.get_trials(deepcopy=False, states=[TrialState[state] for state in states])

    def _running(self, number: int) -> filelock.FileLock:
        return filelock.FileLock(self.folder / "running" / f"{number}.lock")

    def _answers(self, number: int) -> Path:
        return self.folder / "answers" / f"{number}.npz"


def _read(path: Path) -> dict[str, Any]:
    document = read_record(path.parent, RECORD)
    try:
        format_, version = document["format"], document["version"]
    except KeyError:
        raise SmidgenError(f"{path}: not the record of a search") from None
    if (format_, version) != (_FORMAT, smidgen.__version__):
        raise SmidgenError(
            f"{path}: begun with smidgen {version}, and this is {smidgen.__version__}; "
            "a search needs one version"
        )
    return document


def _task(trial: optuna.trial.FrozenTrial) -> Task:
    """The task of a trial, also where its worker was killed before it had read it."""
    values = trial.system_attrs["fixed_params"]
    return Task(values["rule"], values["macs"], values["seed"], values["epochs"])


def _row(trial: optuna.trial.FrozenTrial) -> TaskRow:
    return TaskRow(trial.number, _task(trial), **trial.user_attrs["row"])


def _scores(rows: Sequence[TaskRow]) -> dict[Task, float]:
    return {row.task: row.accuracy or 0.0 for row in rows}


@contextlib.contextmanager
def _released(claim: Claim) -> Iterator[None]:
    try:
        yield
    finally:
        _let_go(claim.lock)


def _let_go(lock: filelock.FileLock) -> None:
    """Free a trial's lock and remove its file; the caller holds the study's lock, so nobody else looks."""
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def _right(path: Path) -> NDArray[np.bool_]:
    with np.load(path) as answers:
        right: NDArray[np.bool_] = answers["right"]
        return right
