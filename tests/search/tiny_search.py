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

BASE = Base("shiftnet", 1 / 3, 0.56, 16, 0, 3, 1)
BUDGETS = (2_000_000, 4_000_000)
# At the smaller budget no two of them, nor compound and width, have the same network.
GRID = (("1/1/1.4", "1/1/1.45"), ("1.2/1.15/1.1",), ("1.5/1.15/1",), ("2/1/1",), ("1.3/1.25/1",))


def agenda(
    rules: tuple[str, ...] = ("compound", "width"), grid: tuple[tuple[str, ...], ...] = (), seeds: int = 2
) -> Agenda:
    return Agenda(BASE, 737_388, BUDGETS, rules, grid, seeds, recipe("small").shortened(6))


def begun(folder: Path, what: Agenda | None = None) -> Study:
    folder.mkdir()
    return Study.create(folder, what or agenda(), {"data": "nowhere", "name": "nothing"})


def score(task: Task) -> float:
    """Some accuracy that depends on the task alone."""
    return zlib.crc32(repr(task).encode()) % 1000 / 1000


def at_once(task: Task, _stopping: Callable[[], bool]) -> Result:
    """A training without training: four answers, and the score as accuracy."""
    return Result(score(task), 1.0, np.arange(4) / 4 < score(task), 0.5)
