"""Quantities, budgets, shapes, near names."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen import spec
from smidgen.spec import (
    UNITS,
    Budget,
    BudgetError,
    Cost,
    Excess,
    Shape,
    SmidgenError,
    budget,
    closest,
    quantity,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("17", 17),
        ("200k", 200_000),
        ("1e5", 100_000),
        ("2.5E3k", 2_500_000),
        ("200K", 200_000),
        ("3M", 3_000_000),
        ("3m", 3_000_000),
        ("2G", 2_000_000_000),
        ("1_000_000", 1_000_000),
        ("1.5M", 1_500_000),
        ("0.1M", 100_000),
        ("1.005k", 1005),
        (" 1.5 MB ", 1_500_000),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("64KB", 64_000),
        ("1MiB", 1_048_576),
        ("1GiB", 1_073_741_824),
        ("512B", 512),
    ],
)
def test_quantities_are_read_with_their_units(text: str, value: int) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "k", "-1", "+1", "1e-6", "1e", "1e999", "nan", "inf", "1..5", "1.", ".5", "1,000",
        "1__0", "1_", "_1", "1_k", "12ms", "1 k k", "٣", "0x10", "1\n2", "5 potatoes", "9" * 30, "9" * 400,
        "9" * 5000, "1000000000001M",
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_one_line(text: str) -> None:
    with pytest.raises(BudgetError) as caught:
        quantity(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_a_budget_error(text: str) -> None:
    with contextlib.suppress(BudgetError):
        assert quantity(text) >= 0


@given(st.integers(0, 10**15))
def test_plain_numbers_are_read_exactly(number: int) -> None:
    assert quantity(str(number)) == number


def test_budget_is_read_from_text() -> None:
    assert Budget.parse("params=200k, macs=3M") == Budget(params=200_000, macs=3_000_000)
    assert Budget.parse(" peak_bytes = 64KiB ,weight_bytes=1MB,") == Budget(
        weight_bytes=1_000_000, peak_bytes=65_536
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("params", "unit=number"),
        ("200k", "unit=number"),
        ("parms=1k", "did you mean params?"),
        ("latency_ns=1", "limits are params, macs"),
        ("params=1k, params=2k", "twice"),
        ("params=", "quantity"),
        ("params=1k=2", "comma"),
        ("params=0", "at least 1"),
        ("params=0.4", "at least 1"),
        ("params=-5", "at least 1"),
        ("params=1MB", "count"),  # parameters are no bytes: a likely slip for weight_bytes
        ("macs=3MiB", "count"),
        ("params=1\n2", "quantity"),
        ("a\nb=1", "unit"),
        ("latency=2", "us, ms or s"),  # milliseconds, or seconds?
        ("latency=2kb", "not a time"),
        ("latency_ms=fast", "not a time"),
        ("latency=0ms", "above 0"),
        ("latency=2ms, latency_ms=2", "twice"),
        ("latency=9999999999999999999s", "out of range"),
    ],
)
def test_broken_budgets_say_what_is_wrong_in_one_line(text: str, says: str) -> None:
    with pytest.raises(BudgetError, match=says) as caught:
        Budget.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("latency=2ms", 2.0), ("latency_ms=2", 2.0), ("latency_ms=2ms", 2.0), ("latency = 1.5 s", 1500.0),
        ("latency=800us", 0.8), ("latency_ms=0.25", 0.25), ("latency=3MS", 3.0),
    ],
)  # fmt: skip
def test_a_time_is_read_in_milliseconds(text: str, time: float) -> None:
    assert Budget.parse(text).limits() == {"latency_ms": pytest.approx(time)}


def test_a_time_may_be_a_fraction_and_must_be_finite() -> None:
    assert Budget(latency_ms=0.01).limits() == {"latency_ms": 0.01}
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BudgetError, match="above 0"):
            Budget(latency_ms=wrong)


def test_times_read_as_times() -> None:
    assert str(Budget(params=1000, latency_ms=2.0)) == "params=1,000, latency=2ms"
    assert str(Excess("latency_ms", 2.4133, 2.0)) == "latency_ms: 2.413 is 1.21x the budget of 2"
    assert str(Excess("latency_ms", 12345.6, 0.0005)).startswith("latency_ms: 12,346 is ")


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_a_budget_error(text: str) -> None:
    with contextlib.suppress(BudgetError):
        Budget.parse(text)


def test_budget_lists_the_limits_that_are_set() -> None:
    assert Budget(macs=5, peak_bytes=7).limits() == {"macs": 5, "peak_bytes": 7}
    assert str(Budget(params=200_000, macs=3_000_000)) == "params=200,000, macs=3,000,000"
    assert Budget().limits() == {}


@pytest.mark.parametrize("limit", [0, -1])
def test_limits_must_be_positive(limit: int) -> None:
    with pytest.raises(BudgetError):
        Budget(params=limit)


def test_limits_may_be_met_exactly() -> None:
    assert Budget(params=10).excesses({"params": 10}) == []
    assert Budget(params=10).excesses({"params": 11}) == [Excess("params", 11, 10)]


def test_units_without_a_limit_need_no_value() -> None:
    assert Budget(params=10).excesses({"params": 3}) == []


def test_excesses_come_worst_first() -> None:
    costs = {"params": 11, "macs": 30, "peak_bytes": 1}
    found = Budget(params=10, macs=10, peak_bytes=10).excesses(costs)
    assert [excess.unit for excess in found] == ["macs", "params"]


def test_excess_reads_as_the_style_page_says() -> None:
    assert str(Excess("params", 5_288_548, 5_000_000)) == "params: 5,288,548 is 1.06x the budget of 5,000,000"


def test_excess_never_reads_as_once_the_budget() -> None:
    assert "1.00x" not in str(Excess("params", 1_000_001, 1_000_000))


def test_nearest_name_is_offered() -> None:
    assert closest("efficientnt_b0", ["efficientnet_b0", "resnet20"]) == "did you mean efficientnet_b0? "
    assert closest("zebra", ["efficientnet_b0", "resnet20"]) == ""
    assert closest("x", []) == ""


def test_shape_counts_and_prints() -> None:
    assert Shape(3, 224, 200).numel == 134_400
    assert str(Shape(3, 224, 200)) == "3x224x200"
    assert str(Shape(10, flat=True)) == "10"
    assert Shape(10).numel == 10


def test_flat_features_are_not_a_map_of_one_pixel() -> None:
    assert Shape(10) != Shape(10, flat=True)


def test_every_error_is_a_smidgen_error_and_is_exported() -> None:
    errors = {
        name for name, value in vars(spec).items() if isinstance(value, type) and issubclass(value, Exception)
    } - {"SmidgenWarning"}
    assert errors <= set(spec.__all__)
    assert all(issubclass(getattr(spec, name), SmidgenError) for name in errors)


def test_cost_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Cost(1, 2, 3, 4, 5).params = 7  # type: ignore[misc]


def test_limits_without_a_comma_between_them_are_explained() -> None:
    with pytest.raises(BudgetError, match="put a comma between them"):
        Budget.parse("params=200k macs=20M")


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_is_a_limit_that_type_checkers_know(name: str) -> None:
    """By the sources: a property of `Budget` for each row of the table."""
    source = Path(budget.__file__).read_text("utf-8")
    assert f"def {name}(self)" in source
    assert getattr(Budget(), name) is None
