"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from smidgen.report import formats


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.981, "98.1 %"),
        (1.0, "100 %"),
        (0.9996, "99.96 %"),
        (0.0, "0 %"),
        (0.0001, "0.01 %"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_only_a_whole_is_100_percent(fraction: float | None, text: str) -> None:
    assert formats.percent(fraction).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("unit", "number", "text"),
    [
        ("params", 28_412, "28,412"),
        ("params", 5_288_548, "5.29 M"),
        ("macs", 390_000_000, "390 M"),
        ("macs", 999_999_999, "1 G"),
        ("weight_bytes", 38_200, "38.2 KB"),
        ("peak_bytes", 812, "812 B"),
        ("latency_ms", 1.234, "1.23 ms"),
        ("params", None, "–"),
    ],
)
def test_an_amount_carries_its_unit(unit: str, number: float | None, text: str) -> None:
    assert formats.amount(unit, number).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59.96, "60 s"), (95.2, "1 min 35 s"), (7260, "2 h 1 min"), (None, "–")],
)
def test_a_duration_reads_as_clocks_do(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds).replace("\u202f", " ") == text
