"""Drawings follow the page's colours and carry every point they were given."""

from __future__ import annotations

import builtins
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import example_report
from smidgen.report import plots, scatter
from smidgen.report.schema import Report
from smidgen.report.svg import INK
from smidgen.spec import DependencyError


@pytest.fixture
def report() -> Report:
    return example_report.whole()


def drawings(report: Report) -> dict[str, str]:
    assert report["curves"]
    assert report["candidates"]
    assert report["confusion"]
    assert report["classes"]
    assert report["reliability"]
    return {
        "loss": plots.curve(report["curves"], "loss"),
        "accuracy": plots.curve(report["curves"], "accuracy"),
        "candidates": scatter.candidates(report["candidates"], 30_000),
        "macs": scatter.candidates(report["candidates"], 3_000_000, "macs"),
        "reliability": plots.reliability(report["reliability"]),
        "confusion": plots.confusion(report["confusion"], report["classes"]),
    }


def test_every_colour_comes_from_the_page(report: Report) -> None:
    for svg in drawings(report).values():
        bare = re.sub(r"var\(--[^()]*\)", "", svg)
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!\))", re.sub(r'href="[^"]*"|url\([^)]*\)', "", bare))
        assert "var(--" in svg
        assert INK not in svg


def test_a_drawing_is_one_svg_element_without_style_sheet_or_namespace(report: Report) -> None:
    for svg in drawings(report).values():
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg"
        assert root.find(".//style") is None
        assert "xmlns" not in svg


def test_letters_stay_letters_in_the_pages_typeface(report: Report) -> None:
    svg = drawings(report)["candidates"]
    assert ">shiftresnet20_e3<" in svg
    assert "budget 30,000" in svg
    assert "DejaVu" not in svg


def test_matplotlibs_own_settings_are_as_before(report: Report) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawings(report)
    assert dict(mpl.rcParams) == before


def test_a_name_with_dollars_is_no_formula(report: Report) -> None:
    assert "$x^2$" in plots.confusion([[1, 0], [0, 1]], ["$x^2$", "$\\broken{"])


@pytest.mark.parametrize("count", [1, 2])
def test_a_training_of_few_epochs_is_still_drawn(report: Report, count: int) -> None:
    assert report["curves"]
    assert "validation" in plots.curve(report["curves"][:count], "loss")


def test_a_curve_of_nothing_but_gaps_is_empty_and_no_error(report: Report) -> None:
    assert report["curves"]
    rows: Any = [{**row, "val_loss": None, "train_loss": float("nan")} for row in report["curves"]]
    assert "validation" not in plots.curve(rows, "loss").replace("training and validation", "")


def test_a_candidate_that_was_never_validated_is_left_out(report: Report) -> None:
    assert report["candidates"]
    report["candidates"][1]["val_accuracy"] = None
    assert "efficientnet_lite0" not in scatter.candidates(report["candidates"])


def test_of_many_candidates_the_chosen_and_the_best_of_each_family_are_named(report: Report) -> None:
    assert report["candidates"]
    crowd: Any = [
        {
            **row,
            "name": f"{row['family']}-{step}",
            "val_accuracy": 0.5 + step / 10,
            "chosen": row["chosen"] and step == 0,
        }
        for row in report["candidates"]
        for step in range(4)
    ]
    svg = scatter.candidates(crowd)
    assert set(re.findall(r">(\w+-\d)<", svg)) == {
        "shiftnet-0",
        "shiftnet-3",
        "efficientnet-3",
        "squeezenet-3",
        "resnet-3",
    }


def test_a_large_matrix_is_one_picture_and_not_thousands_of_cells() -> None:
    size = 100
    svg = plots.confusion(
        [[int(row == column) for column in range(size)] for row in range(size)], ["x"] * size
    )
    assert svg.count("<image") == 1
    assert svg.count("<path") < 20


def test_without_matplotlib_the_error_says_what_to_install(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return genuine(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DependencyError, match=r"pip install 'smidgen\[train\]'"):
        plots.confusion([[1]], ["one"])


def test_names_that_differ_only_after_the_at_sign_are_written_in_full(report: Report) -> None:
    assert report["candidates"]
    for row, scale in zip(report["candidates"], ("w1", "w2", "w3", "w4"), strict=True):
        row["name"] = f"net@{scale}"
    assert ">net@w1<" in scatter.candidates(report["candidates"])


def test_each_family_has_a_sign_of_its_own(report: Report) -> None:
    assert report["candidates"]
    signs = scatter.family_signs(report["candidates"])
    assert list(signs) == ["shiftnet", "efficientnet", "squeezenet", "resnet"]
    assert len(set(signs.values())) == 4


@pytest.mark.parametrize("count", [2, 12, 13, 30])
def test_a_matrix_up_to_thirty_classes_has_numbers_with_room_for_them(count: int) -> None:
    names = [f"class {index}" for index in range(count)]
    svg = plots.confusion((7 * np.eye(count, dtype=int)).tolist(), names)
    assert svg.count(">7<") == count
    box = re.search(r'viewBox="0 0 (\d+)', svg)
    assert box
    assert int(box[1]) == plots.confusion_width(names)
    assert 20 * count < int(box[1]) < 752  # the page's column


def test_one_bin_is_a_reliability_drawing_too() -> None:
    assert "<svg" in plots.reliability([{"confidence": 1.0, "accuracy": 1.0, "n": 1}])
