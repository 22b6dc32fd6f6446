"""Every limit of a budget gets an answer, and every place prints the same one."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import example_report
from smidgen import report as reports
from smidgen.report.limits import sentence, verdict
from smidgen.report.schema import Limit, Report, complete
from smidgen.spec import Budget

HERE = "Intel Xeon, 2.6 GHz"


def of(budget: dict[str, float], **measured: Any) -> list[Limit]:
    """Rows of a run that takes 28,412 parameters, 24,576 bytes at its peak, and 0.84 ms here."""
    report: dict[str, Any] = {**example_report.digits_report(), "budget": budget}
    report["measured"] |= measured
    rows = complete(report)["limits"]
    assert rows is not None
    return rows


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


def test_every_unit_of_a_budget_is_answered() -> None:
    rows = of(dict.fromkeys(Budget.units(), 10**9))
    assert [row["unit"] for row in rows] == list(Budget.units())
    known = {row["unit"]: row["known"] for row in rows}
    assert known == {
        "params": "counted",
        "macs": "counted",
        "weight_bytes": "measured",
        "int8_bytes": None,
        "peak_bytes": "counted",
        "latency_ms": "measured",
    }
    assert {row["holds"] for row in rows} == {True, None}
    assert verdict(rows[3]) == "cannot be told: it was not counted"


@pytest.mark.parametrize(
    ("unit", "limit", "told"),
    [
        ("params", 30_000, "28,412 of 30,000 allowed: holds"),
        ("params", 28_412, "28,412 of 28,412 allowed: holds"),
        ("params", 28_411, "28,412 of 28,411 allowed: does not hold, 1.01 times the limit"),
        ("macs", 2_134_015, "2,134,016 of 2,134,015 allowed: does not hold, 1.01 times the limit"),
        ("peak_bytes", 20_000, "24.6 KB of 20 KB allowed: does not hold, 1.23 times the limit"),
        ("weight_bytes", 121_950, "121,904 B of 121,950 B allowed: holds"),
        ("latency_ms", 2, f"0.84 ms measured on {HERE} of 2 ms allowed: holds"),
        ("latency_ms", 0.42, f"0.84 ms measured on {HERE} of 0.42 ms allowed: does not hold, 2.00 times the"),
    ],
)
def test_a_limit_is_told_with_what_it_takes(unit: str, limit: float, told: str) -> None:
    (row,) = of({unit: limit})
    assert plain(sentence(row)).startswith(told)


@pytest.mark.parametrize(("limit", "holds"), [(2.0, True), (1.79, False)])
def test_milliseconds_of_another_device_are_those_predicted_for_it(limit: float, holds: bool) -> None:
    foretold = example_report.foretold(here=False, value=1.8, device="pi4")
    (row,) = of({"latency_ms": limit}, predicted_ms=foretold)
    assert (row["value"], row["known"], row["device"], row["holds"]) == (1.8, "predicted", "pi4", holds)
    assert plain(sentence(row)).startswith(f"1.8 ms predicted for pi4 of {limit:g} ms allowed: ")
    assert "nine of ten predictions are within 8 %" in plain(sentence(row))


def latency(**changed: Any) -> dict[str, Any]:
    return {**example_report.digits_report()["measured"]["latency_ms"], **changed}


@pytest.mark.parametrize("limit", [0.1, 0.83])
def test_a_doubtful_latency_above_a_limit_leaves_it_open(limit: float) -> None:
    (row,) = of({"latency_ms": limit}, latency_ms=latency(doubt="its threads waited"))
    assert (row["value"], row["holds"]) == (0.84, None)
    assert sentence(row).endswith("cannot be told: the clock was disturbed (its threads waited)")


@pytest.mark.parametrize("limit", [0.84, 50.0])
def test_a_doubtful_latency_inside_a_limit_holds_for_other_work_can_only_add(limit: float) -> None:
    (row,) = of({"latency_ms": limit}, latency_ms=latency(doubt="its threads waited"))
    assert (row["value"], row["holds"]) == (0.84, True)
    assert plain(sentence(row)) == f"0.84 ms measured on {HERE} of {limit:g} ms allowed: holds"


def test_what_was_not_measured_says_why_and_tells_what_was_predicted() -> None:
    foretold = example_report.foretold(here=True)
    (row,) = of({"latency_ms": 2}, latency_ms=None, predicted_ms=foretold, note="latency: no process")
    assert (row["value"], row["holds"], row["why"]) == (0.77, None, "latency: no process")
    (row,) = of({"latency_ms": 2}, latency_ms=None, note=None)
    assert (row["value"], row["holds"]) == (None, None)
    assert plain(sentence(row)) == "limit 2 ms: cannot be told: it was not measured"


def test_limits_are_worked_out_for_older_reports_and_never_contradict_the_rest() -> None:
    old: dict[str, Any] = example_report.digits_report()
    assert "limits" not in old
    assert [row["holds"] for row in complete(old)["limits"] or []] == [True, True]
    stale = {**complete(old), "budget": {"params": 1000}}
    assert [row["holds"] for row in complete(stale)["limits"] or []] == [False]
    assert complete({**old, "budget": None})["limits"] is None


class Words(HTMLParser):
    """The text of a page, in single spaces."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def tight() -> Report:
    report: dict[str, Any] = example_report.digits_report()
    report["budget"] = {"params": 20_000, "macs": 3e6, "peak_bytes": 30_000, "latency_ms": 2.0}
    report["measured"]["predicted_ms"] = example_report.foretold(here=False, device="pi4")
    return complete(report)


def test_page_and_card_print_every_answer(tight: Report) -> None:
    page = plain(Words(reports.render(tight)).text)
    card = plain(reports.card(tight))
    section = card[card.index("## Budget") : card.index("## Limits")]
    for row in tight["limits"] or []:
        assert plain(verdict(row)) in page
        assert plain(sentence(row)) in section
    assert "0.77 ms of 2 ms" in page
    assert "predicted for pi4" in page
    assert "Latency: 0.77 ms predicted for pi4 of 2 ms allowed: holds" in section


def test_only_a_broken_limit_looks_broken(tight: Report) -> None:
    states = re.findall(r'class="(limit[^"]*)"', reports.render(tight))
    assert states == ["limit broken", "limit", "limit", "limit"]
    assert tight["measured"]
    slow = latency(value=2.1, doubt="a quota")
    tight["measured"] |= {"predicted_ms": None, "latency_ms": slow}  # type: ignore[typeddict-item]
    assert 'class="limit open"' in reports.render(tight)


def test_a_card_without_a_budget_has_no_section_for_it() -> None:
    report: Any = example_report.whole()
    report["budget"] = None
    assert "## Budget" not in reports.card(report)
