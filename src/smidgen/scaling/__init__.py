"""Compound scaling, and solving it for a budget."""

from smidgen.scaling.compound import grow, scale
from smidgen.scaling.device import Device
from smidgen.scaling.measure import device_for
from smidgen.scaling.on_device import solve_on
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling, candidates, rule_named
from smidgen.scaling.solve import Solution, costs, solve
from smidgen.scaling.stairs import Latency

__all__ = [
    "PAPER",
    "RULES",
    "Device",
    "Latency",
    "Multipliers",
    "Rule",
    "Scaling",
    "Solution",
    "candidates",
    "costs",
    "device_for",
    "grow",
    "rule_named",
    "scale",
    "solve",
    "solve_on",
]
