"""Unbalanced classes are named, with the option that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.data import class_counts, open_dataset, survey, unbalanced_news


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"a": 99, "b": 10}, False),
        ({"a": 100, "b": 10}, True),
        ({"a": 5, "b": 1, "c": 12}, True),
        ({"a": 100, "b": 0}, False),  # a class without pictures is another finding
        ({}, False),
    ],
)
def test_ten_to_one_is_unbalanced(counts: dict[str, int], told: bool) -> None:
    assert (unbalanced_news(counts) is not None) == told


def test_the_line_names_both_classes_and_the_option() -> None:
    news = unbalanced_news({"moth": 12, "fly": 1_200})
    assert news
    assert news.startswith(
        "the largest class has 100 times the pictures of the smallest (fly 1,200, moth 12)"
    )
    assert "--class-weights" in news
    assert "\n" not in news


def test_an_option_that_was_given_is_not_advised() -> None:
    news = unbalanced_news({"moth": 12, "fly": 1_200}, weighted=True)
    assert news
    assert news.endswith("accuracy will flatter")


def test_only_usable_pictures_count(shapes: Path, tmp_path: Path) -> None:
    from shutil import copytree

    data = copytree(shapes, tmp_path / "data")
    (data / "cross" / "bad.png").write_text("no picture")
    dataset = open_dataset(str(data))
    assert class_counts(dataset, survey(dataset)) == {"circle": 20, "cross": 20, "square": 20}
