"""Compound scaling, and solving it for a budget."""

from smidgen.scaling.coefficients import comparisons
from smidgen.scaling.compound import BASE_RESOLUTION, family_named, grow, scale, stride_choices
from smidgen.scaling.costing import Latency, costs
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling, candidates, rule_named
from smidgen.scaling.solve import Solution, solve

__all__ = [
    "BASE_RESOLUTION",
    "PAPER",
    "RULES",
    "Latency",
    "Multipliers",
    "Rule",
    "Scaling",
    "Solution",
    "candidates",
    "comparisons",
    "costs",
    "family_named",
    "grow",
    "rule_named",
    "scale",
    "solve",
    "stride_choices",
]
