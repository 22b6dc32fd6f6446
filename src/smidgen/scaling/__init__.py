"""Compound scaling, and solving it for a budget."""

from smidgen.scaling.compound import scale
from smidgen.scaling.rules import PAPER, RULES, Multipliers, Rule, Scaling, candidates, rule_named
from smidgen.scaling.solve import Solution, costs, solve

__all__ = [
    "PAPER",
    "RULES",
    "Multipliers",
    "Rule",
    "Scaling",
    "Solution",
    "candidates",
    "costs",
    "rule_named",
    "scale",
    "solve",
]
