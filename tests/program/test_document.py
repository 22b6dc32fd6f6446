"""docs/program.md tells the truth: its examples run, one after the other, and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/program.md"


def test_the_examples_run_and_print_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    parts = re.findall(r"```python\n([^`]*)```\n(?:\n((?: {4}.*\n)+))?", PAGE.read_text("utf-8"))
    assert len(parts) == 4
    for code, shown in parts:
        exec(code, names)
        printed = capsys.readouterr().out
        assert printed
        assert printed.splitlines() == [line.strip() for line in shown.splitlines()]
