"""What the terminal says when a run is finished: the same as page and card, in the colour that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import example_report
from smidgen import run
from smidgen.cli import running
from smidgen.report.formats import plain
from smidgen.report.limits import sentence
from smidgen.report.schema import Report, complete

Said = list[tuple[str, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """Lines with their styles, as they come."""
    lines: Said = []
    monkeypatch.setattr(running, "say", lambda text="", style="", **_: lines.append((text, style)))
    return lines


def finished(report: Report) -> Any:
    class Network:
        name = report["network"]["name"]

    return run.Fitted(Path("runs/x-1"), Network(), report, {})  # type: ignore[arg-type]


def line(said: Said, start: str) -> tuple[str, str]:
    return next((text.strip(), style) for text, style in said if text.strip().startswith(start))


def changed(budget: dict[str, float], **measured: Any) -> Report:
    report: dict[str, Any] = {**example_report.digits_report(), "budget": budget}
    report["measured"] |= measured
    return complete(report)


def test_a_sound_accuracy_is_green_and_alone(said: Said) -> None:
    running.summarise(finished(example_report.whole()))
    text, style = line(said, "accuracy")
    assert style == "green"
    assert text.endswith("98.14 % on 269 pictures never seen before")


def test_unbalanced_pictures_show_both_accuracies_and_never_in_green(said: Said) -> None:
    report = example_report.confused([[1500, 0], [5, 10]])
    running.summarise(finished(report))
    text, style = line(said, "accuracy")
    assert style == "yellow"
    assert "99.67 % on 1,515 pictures" in text
    assert text.endswith("balanced accuracy 83.33 %")
    assert line(said, "The commonest class alone is 99.0 %")[1] == "yellow"
    assert line(said, "Trained with --class-weights")
    assert "green" not in {style for _, style in said}


@pytest.mark.parametrize("report", [example_report.lopsided(), example_report.guessed()])
def test_chance_is_red_and_says_where_to_look(report: Report, said: Said) -> None:
    running.summarise(finished(report))
    assert line(said, "accuracy")[1] == "red"
    assert line(said, "No better than chance")[1] == "red"
    text, style = line(said, "Look first")
    assert style == "red"
    assert "--resolution" in text


def test_every_limit_is_answered_and_what_breaks_one_is_red(said: Said) -> None:
    budget = {"params": 20_000, "macs": 3e6, "weight_bytes": 200_000, "peak_bytes": 30_000, "latency_ms": 2.0}
    report = changed(budget, predicted_ms=example_report.foretold(here=False, value=1.8, device="pi4"))
    running.summarise(finished(report))
    for row in report["limits"] or []:
        (styles,) = [style for text, style in said if text.endswith(plain(sentence(row)))]
        assert styles == ("red" if row["unit"] == "params" else "")
    text, _ = line(said, "latency       1.8 ms")
    assert text.startswith("latency       1.8 ms predicted for pi4 of 2 ms allowed: holds")


def test_a_doubtful_latency_is_marked_and_leaves_the_budget_open(said: Said) -> None:
    latency = example_report.digits_report()["measured"]["latency_ms"] | {"doubt": "its threads waited"}
    running.summarise(finished(changed({"latency_ms": 0.5}, latency_ms=latency)))
    assert line(said, "doubtful, for it was disturbed: its threads waited")[1] == "yellow"
    text, style = line(said, "latency       0.84 ms measured on")
    assert style == "yellow"
    assert text.endswith("of 0.5 ms allowed: cannot be told: the clock was disturbed (its threads waited)")


@pytest.mark.parametrize(
    ("foretold", "apart"), [(0.84 / 1.49, False), (0.84 / 1.6, True), (0.84 * 1.6, True), (0.0, False)]
)
def test_prediction_and_clock_that_part_are_told(foretold: float, apart: bool, said: Said) -> None:
    row = example_report.foretold(here=True, value=foretold)
    running.summarise(finished(changed({"latency_ms": 2.0}, predicted_ms=row)))
    told = [text for text, _ in said if "The two are 1.6 times apart, which is more than 1.5" in text]
    assert bool(told) == apart


def test_a_latency_that_is_missing_says_why_beside_its_limit(said: Said) -> None:
    report = changed({"latency_ms": 2.0}, latency_ms=None, note="latency: no process could be started")
    running.summarise(finished(report))
    assert line(said, "not measured")[0].endswith("latency: no process could be started")
    assert line(said, "latency")[0].startswith("latency       limit 2 ms: cannot be told")


def test_no_narrow_space_reaches_a_terminal(said: Said) -> None:
    running.summarise(finished(example_report.lopsided()))
    assert not [text for text, _ in said if "\u202f" in text]


def test_sentences_stay_inside_a_narrow_terminal(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "console", lambda: Console(width=70))
    running.summarise(finished(example_report.lopsided()))
    told = [text for text, _ in said if text.startswith(" " * 16)]
    assert len(told) > 5
    assert max(map(len, told)) <= 70
    assert not [text for text in told if text.endswith("-")]
