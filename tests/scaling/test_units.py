"""A unit is a row: whatever reads budgets, solves them or reports of them asks the row and nothing else."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

import example_report
from command_line import smidgen
from smidgen import report
from smidgen.graph import Conv, Network, leaves
from smidgen.report import contest
from smidgen.report.limits import sentence
from smidgen.report.schema import complete
from smidgen.scaling import costs, solve
from smidgen.spec import LATENCY, UNITS, Budget, BudgetError, Excess, Number, Unit


def convolutions(network: Network) -> int:
    return sum(isinstance(leaf, Conv) for _, leaf in leaves(network.tree))


@pytest.fixture
def depth(monkeypatch: pytest.MonkeyPatch) -> Unit:
    """A unit that nothing in the sources has heard of."""
    unit = Unit(
        "depth",
        Number.COUNT,
        lambda network: convolutions(network.network),
        title="Convolutions",
        label="convolutions",
        axis="convolutions, one after the other",
    )
    monkeypatch.setitem(UNITS, "depth", unit)
    return unit


@pytest.mark.usefixtures("depth")
def test_a_new_unit_is_read_checked_and_written() -> None:
    budget = Budget.parse("depth=1k, params=2M")
    assert budget == Budget(params=2_000_000, depth=1000)
    assert getattr(budget, "depth") == 1000  # noqa: B009 (type checkers know those that are there)
    assert str(budget) == "params=2,000,000, depth=1,000"
    assert budget.excesses({"params": 1, "depth": 1001}) == [Excess("depth", 1001, 1000)]
    with pytest.raises(BudgetError, match="'depth=3KB' is a size in bytes, but depth are a count"):
        Budget.parse("depth=3KB")
    with pytest.raises(BudgetError, match="depth=0: a limit must be at least 1"):
        Budget(depth=0)
    with pytest.raises(BudgetError, match="did you mean depth"):
        Budget.parse("deph=3")


@pytest.mark.usefixtures("depth")
def test_a_new_unit_is_solved_and_scaled() -> None:
    found = solve("resnet", Budget(depth=20), resolution=32, num_classes=10)
    assert convolutions(found.network) <= 20
    assert found.binding == "depth"
    assert costs(found.network)["depth"] == convolutions(found.network)
    with pytest.raises(BudgetError, match=r"nothing in resnet fits depth=3 at 32 pixels; .*, has depth=\d+$"):
        solve("resnet", Budget(depth=3), resolution=32)
    outcome = smidgen("scale", "resnet", "--resolution", "32", "--budget", "depth=20")
    assert "binding       depth: one step larger would break it" in outcome.out


@pytest.mark.usefixtures("depth")
def test_a_new_unit_is_a_limit_of_the_report() -> None:
    document = {**example_report.digits_report(), "budget": {"depth": 20}}
    document["cost"]["depth"] = 22
    for row in document["candidates"]:
        row["depth"] = 22
    read = complete(document)
    (row,) = read["limits"] or []
    assert sentence(row) == "22 of 20 allowed: does not hold, 1.10 times the limit"
    page = contest.candidates(read)
    assert "Validation accuracy by convolutions" in page
    assert "convolutions, one after the other" in page
    assert "Convolutions: 22 of 20 allowed" in report.card(read)


def test_a_unit_that_only_a_newer_version_knows_keeps_its_name_in_the_report() -> None:
    document = {**example_report.digits_report(), "budget": {"joules": 3}}
    read = complete(document)
    (row,) = read["limits"] or []
    assert sentence(row) == "limit 3: cannot be told: it was not counted"
    assert "joules: limit 3" in report.card(read)


def test_a_device_is_needed_by_time_alone() -> None:
    assert [unit for unit in UNITS.values() if unit.needs_device] == [LATENCY]
    budget = Budget(params=5, latency_ms=2)
    assert budget.needs_device
    assert budget.counted() == Budget(params=5)
    assert not budget.counted().needs_device


def test_a_budget_is_a_value() -> None:
    budget = Budget(macs=3, params=5)
    assert budget == Budget(params=5, macs=3, peak_bytes=None)
    assert (budget.params, budget.peak_bytes) == (5, None)
    assert len({budget, Budget(params=5, macs=3)}) == 1
    assert eval(repr(budget)) == budget
    for again in (copy.deepcopy(budget), pickle.loads(pickle.dumps(budget))):
        assert again == budget
    assert budget.replace(macs=None, latency_ms=0.5) == Budget(params=5, latency_ms=0.5)
    assert dataclasses.replace(budget, params=7) == Budget(params=7, macs=3)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        budget.params = 7  # type: ignore[misc]
    with pytest.raises(AttributeError, match="a budget has no 'parms'"):
        _ = budget.parms  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="a budget has no unit 'parms'"):
        Budget(parms=5)
