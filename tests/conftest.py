"""Settings for all tests; being here, this file also puts the oracles beside it on the path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from smidgen.run import Fitted

# Tests run in parallel processes, one a core: a second thread in each would only wait for the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def impatience() -> None:
    """Tests run beside one another: no use in waiting for a quiet machine."""
    from smidgen.engine import clock

    clock.PATIENCE = 0.3


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 small pictures in three classes; nobody may change it."""
    from tiny_run import write_shapes

    return write_shapes(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def fitted(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A finished run on the shapes; nobody may change it."""
    from tiny_run import run

    return run(shapes, tmp_path_factory.mktemp("fitted") / "run")
