"""Budgets of milliseconds, kept on the device: where it is this machine, by the clock."""

from __future__ import annotations

import dataclasses
from typing import Any

from smidgen.scaling.device import Device
from smidgen.scaling.measure import quietest
from smidgen.scaling.solve import Solution, solve
from smidgen.spec import Budget

__all__ = ["solve_on"]

TRIES = 4
SPREAD = 0.02  # of the clock itself, from one time to the next


def solve_on(family: str, budget: Budget, device: Device | None, **options: Any) -> Solution:
    """As `solve`, for the milliseconds of a device.

    The largest network among those that are predicted to fit is one whose time is likely to be predicted too
    short. So where the device is this machine, the answer is timed; where it breaks the limit, the search
    goes on below.

    device   None where the budget limits no time
    options  those of `solve`
    Raises   as `solve`.
    """
    limit = budget.latency_ms
    if limit is None or device is None:
        return solve(family, budget, **options)
    asked = limit
    for _ in range(TRIES):
        solution = solve(
            family, dataclasses.replace(budget, latency_ms=asked), latency=device.bound_ms, **options
        )
        if not device.here:
            return solution
        (timed,) = quietest([solution.network], device.threads)
        if timed.ms <= (1 - SPREAD) * limit:
            break
        asked *= (1 - SPREAD) * limit / timed.ms
    slack = {**solution.slack, "latency_ms": 1 - device.bound_ms(solution.network) / limit}
    return dataclasses.replace(solution, slack=slack)
