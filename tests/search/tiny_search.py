"""Small agendas, and trainings that take no time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from smidgen.search.agenda import Agenda, Task
from smidgen.search.growth import Base
from smidgen.search.study import Result, Study
from smidgen.train.recipe import recipe

BASE = Base("shiftnet", 1 / 3, 0.25, 8, 2, 3, 1)
GRID = (("1/1/1.4", "1/1/1.45"), ("1/1.4/1",), ("compound", "1.2/1.15/1.1"), ("2/1/1",), ("1.5/1.15/1",))


def agenda(
    rules: tuple[str, ...] = ("compound", "width"), grid: tuple[tuple[str, ...], ...] = (), seeds: int = 2
) -> Agenda:
    return Agenda(BASE, 30_000, (100_000, 200_000), rules, grid, seeds, recipe("small").shortened(6))


def begun(folder: Path, what: Agenda | None = None) -> Study:
    folder.mkdir()
    return Study.create(folder, what or agenda(), {"data": "nowhere", "name": "nothing"})


def score(task: Task) -> float:
    """Some accuracy that depends on the task alone."""
    return zlib.crc32(repr(task).encode()) % 1000 / 1000


def at_once(task: Task, _stopping: Callable[[], bool]) -> Result:
    """A training without training: four answers, and the score as accuracy."""
    return Result(score(task), 1.0, np.arange(4) / 4 < score(task), 0.5)
