"""Compound scaling, and solving it for a budget."""

from smidgen.scaling.compound import grow, scale
from smidgen.scaling.costing import Latency, costs
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling, candidates, rule_named
from smidgen.scaling.solve import Solution, solve

__all__ = [
    "PAPER",
    "RULES",
    "Latency",
    "Multipliers",
    "Rule",
    "Scaling",
    "Solution",
    "candidates",
    "costs",
    "grow",
    "rule_named",
    "scale",
    "solve",
]
