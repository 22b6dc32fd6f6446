"""Budgets of milliseconds, kept on the device: where it is this machine, by the clock."""

from __future__ import annotations

import dataclasses
from typing import Any

from smidgen.engine.books import Books, shares
from smidgen.graph import Network
from smidgen.scaling.device import Device
from smidgen.scaling.measure import quietest
from smidgen.scaling.solve import Solution, solve
from smidgen.spec import LATENCY, Budget, BudgetError, shown

__all__ = ["network_ms", "solve_on"]

TRIES = 8
SPREAD = 0.02  # of the clock itself, from one time to the next
LEAST_STEP = 0.95  # of the limit that is asked for, from one try to the next


def network_ms(network: Network, device: Device) -> float:
    """Milliseconds that a budget is held against: by the clock on this machine, elsewhere the bound."""
    if not device.here:
        return device.bound_ms(network)
    (timed,) = quietest([network], device.threads)
    return timed.ms / (1 - SPREAD)


def solve_on(family: str, budget: Budget, device: Device | None, **options: Any) -> Solution:
    """As `solve`, for the milliseconds of a device.

    The largest network among those that are predicted to fit is one whose time is likely to be predicted too
    short. So where the device is this machine, the answer is timed; where it breaks the limit, the search
    goes on below.

    device   None where the budget limits no time
    options  those of `solve`
    Raises   as `solve`; BudgetError too where the clock refuses whatever was predicted to fit.
    """
    limit = budget.limits().get(LATENCY.name)
    if limit is None or device is None:
        return solve(family, budget, **options)
    asked, refused, doubt = limit, "", ""
    for _ in range(TRIES):
        try:
            lower = budget.replace(**{LATENCY.name: asked})
            solution = solve(family, lower, latency=device.bound_ms, **options)
        except BudgetError:
            if not refused:
                raise
            break
        if not device.here:
            return solution
        before = Books.now()
        ms = network_ms(solution.network, device)
        disturbed = shares(before, Books.now()).disturbed
        if ms <= limit:
            slack = {**solution.slack, LATENCY.name: 1 - ms / limit}
            return dataclasses.replace(solution, slack=slack)
        refused = f"{solution.network.name} takes {shown(ms)} ms by the clock"
        doubt = f"; the clock was disturbed ({disturbed})" if disturbed else ""
        asked *= min(LEAST_STEP, limit / ms)
    raise BudgetError(f"nothing in {family} fits {budget}: {refused}, and nothing smaller was found{doubt}")
