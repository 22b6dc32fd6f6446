"""The model card tells what the report knows, and nothing else."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

import example_report
from smidgen.report.card import card, write_card
from smidgen.report.page import render
from smidgen.report.schema import Report
from smidgen.seal import sealed

HOSTILE = ("<script>alert(1)</script>", "a|b", "`x` *y* _z_", "two\nlines", "# title", "", "---\nlicense: x")


@pytest.fixture
def report() -> Report:
    return example_report.whole()


@pytest.fixture
def hostile(report: Report) -> Report:
    wild: Any = copy.deepcopy(report)
    wild["classes"] = [HOSTILE[index % len(HOSTILE)] + str(index) for index in range(10)]
    wild["network"]["name"] = HOSTILE[-1]
    wild["provenance"]["command"] = "smidgen fit ```\n# x"
    wild["provenance"]["data"]["name"] = '"quoted": \\ \udc80'
    wild["model_file"] = "../$(reboot)"
    result: Report = wild
    return result


def header(text: str) -> list[str]:
    opening, lines, _ = text.split("---\n", 2)
    assert opening == ""
    return lines.splitlines()


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ .*", text, re.MULTILINE)


def test_the_header_is_what_model_hubs_read_and_guesses_no_licence(report: Report) -> None:
    lines = header(card(report))
    assert {"library_name: smidgen", "pipeline_tag: image-classification", "- image-classification"} <= set(
        lines
    )
    assert lines[lines.index("metrics:") + 1] == "- accuracy"
    assert not [line for line in lines if "license" in line]
    value = next(line for line in lines if line.strip().startswith("value: "))
    assert float(value.split(": ")[1]) == pytest.approx(264 / 269, abs=1e-6)


def test_names_in_the_header_are_quoted_so_that_they_end_where_they_should(hostile: Report) -> None:
    names = [line.split(": ", 1)[1] for line in header(card(hostile)) if "name: " in line and '"' in line]
    assert [json.loads(name) for name in names] == ["--- license: x", '"quoted": \\ \ufffd']


def test_the_card_has_every_section_in_order(report: Report) -> None:
    sections = "Intended use,Data,Results,Per class,Cost,Budget,Limits,How to run,Provenance".split(",")
    found = headings(card(report))
    assert found[1:] == [f"## {name}" for name in sections]


def test_accuracy_stands_beside_its_interval_and_count(report: Report) -> None:
    text = card(report).replace("\u202f", " ")
    assert "| Accuracy | 98.1 % |" in text
    assert "95.7 to 99.2 %" in text
    assert "269 test pictures" in text
    assert "| 8 | 96.2 % | 92.6 % | 27 |" in text  # 25 of 26 calls, 25 of 27 pictures


def test_hostile_names_make_no_markup(hostile: Report, report: Report) -> None:
    text = card(hostile)
    assert "<script" not in text.replace("\\<", "")
    assert len(headings(text)) == len(headings(card(report)))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    tame = [line for line in card(report).splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert cells == [len(re.findall(r"(?<!\\)\|", row)) for row in tame]
    assert "reboot" not in text


def test_what_was_not_measured_is_not_mentioned() -> None:
    text = card(example_report.bare())
    assert "Not tested." in text
    for word in ("–", "None", "nan", "null", "Latency", "Memory", "Model file", "calibration", "interval"):
        assert word not in text
    assert "metrics:" not in text


def test_somebodys_folder_is_not_published(report: Report) -> None:
    assert report["provenance"]
    data = report["provenance"]["data"]
    assert data
    for place in ("/home/somebody/pictures", "C:\\Users\\somebody\\pictures"):
        data["source"] = place
        assert "somebody" not in card(report)
    report["provenance"]["command"] = "smidgen fit /home/somebody/pictures --budget params=10k"
    assert "smidgen fit pictures --budget params=10k" in card(report)
    assert "somebody" not in card(report)
    data["source"] = "UCI"
    assert "Source: UCI." in card(report)


def test_of_many_classes_the_weakest_are_listed() -> None:
    text = card(example_report.crowded(100))
    assert "The 30 weakest of 100." in text
    recalls = [
        float(cell) for cell in re.findall(r"^\| [^|]+ \| [\d.]+\u202f% \| ([\d.]+)\u202f%", text, re.M)
    ]
    assert len(recalls) == 30
    assert recalls == sorted(recalls)


def test_the_card_written_is_the_card_made(hostile: Report, tmp_path: Path) -> None:
    assert write_card(tmp_path / "model_card.md", hostile).read_text("utf-8") == sealed(card(hostile))


@pytest.mark.parametrize(
    ("aspect", "cut", "told"),
    [
        ("crop", 0.1, "the middle cut out; a crop cuts away 10\u202f% of the median picture"),
        (
            "squash",
            0.25,
            "both sides resized (squashed); a crop would cut away 25\u202f% of the median picture",
        ),
        ("pad", None, "the rest filled with the mean colour (padded)"),
        ("another", 0.25, None),
        (None, None, None),
    ],
)
def test_page_and_card_tell_how_pictures_became_squares(
    report: Report, aspect: str | None, cut: float | None, told: str | None
) -> None:
    changed: Any = copy.deepcopy(report)
    changed["provenance"]["data"] |= {"aspect": aspect, "cut_away": cut}
    assert ("Pictures become squares" in card(changed)) is (told is not None)
    if told is not None:
        assert f"Pictures become squares: {told}." in card(changed)
        assert told in render(changed)
