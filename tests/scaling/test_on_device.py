"""Budgets of milliseconds that the clock has the last word on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from smidgen.engine.books import Shares
from smidgen.graph import Network
from smidgen.scaling import on_device, solve
from smidgen.scaling.measure import Timed
from smidgen.scaling.on_device import solve_on
from smidgen.spec import Budget, BudgetError


@dataclass
class Optimist:
    """A device that predicts two thirds of the time that networks take."""

    here: bool
    threads: int = 1

    def bound_ms(self, network: Network) -> float:
        return network.cost().macs / 1.5e6


def timed(networks: Sequence[Network], _threads: int) -> list[Timed]:
    return [Timed(network, [], network.cost().macs / 1e6) for network in networks]


@pytest.mark.parametrize("family", ["resnet", "squeezenet", "shiftnet"])
def test_on_this_machine_the_budget_holds_though_the_prediction_is_too_low(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "quietest", timed)
    budget = Budget(latency_ms=8.0)
    solution = solve_on(family, budget, Optimist(here=True), resolution=32)  # type: ignore[arg-type]
    macs = solution.network.cost().macs
    assert 0.6 * 8e6 < macs <= 8e6
    assert solution.slack["latency_ms"] == pytest.approx(1 - macs / 1e6 / 0.98 / 8.0)


def overhead(networks: Sequence[Network], _threads: int) -> list[Timed]:
    """Five milliseconds of a call, of which nothing was foretold."""
    return [Timed(network, [], 5 + network.cost().macs / 1.5e6) for network in networks]


def test_a_time_that_is_foretold_without_its_overhead_is_kept_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_device, "quietest", overhead)
    solution = solve_on("resnet", Budget(latency_ms=8.0), Optimist(here=True), resolution=32)  # type: ignore[arg-type]
    (timed,) = overhead([solution.network], 1)
    assert timed.ms <= 8.0
    assert 0 <= solution.slack["latency_ms"] < 0.4


def test_what_the_clock_always_refuses_is_refused_in_the_users_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_device, "quietest", overhead)
    with pytest.raises(
        BudgetError, match=r"nothing in resnet fits latency=5ms: .* ms by the clock, and nothing"
    ):
        solve_on("resnet", Budget(latency_ms=5.0), Optimist(here=True), resolution=32)  # type: ignore[arg-type]


def test_a_refusal_by_a_disturbed_clock_says_that_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "quietest", overhead)
    monkeypatch.setattr(on_device, "shares", lambda *_: Shares(1.0, waited=0.5))
    with pytest.raises(BudgetError, match=r"nothing smaller was found; the clock was disturbed \(threads of"):
        solve_on("resnet", Budget(latency_ms=5.0), Optimist(here=True), resolution=32)  # type: ignore[arg-type]


def test_elsewhere_the_prediction_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "quietest", None)
    budget, device = Budget(latency_ms=8.0), Optimist(here=False)
    solution = solve_on("resnet", budget, device, resolution=32)  # type: ignore[arg-type]
    assert solution == solve("resnet", budget, latency=device.bound_ms, resolution=32)


def test_without_a_time_no_device_is_asked() -> None:
    budget = Budget(params=50_000)
    assert solve_on("resnet", budget, None, resolution=32) == solve("resnet", budget, resolution=32)
