"""Settings for the tests of whole runs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the runs of single tests the clocking of their model; fixtures for many tests still do it."""
    monkeypatch.setattr("smidgen.run.evidence.measure", lambda *_: (None, "not here"))
    monkeypatch.setattr("smidgen.run.evidence.measure_memory", lambda *_: (None, "not here"))
