"""Compound scaling, and solving it for a budget."""

from smidgen.scaling.compound import PAPER, Rule, scale
from smidgen.scaling.solve import Solution, costs, solve

__all__ = ["PAPER", "Rule", "Solution", "costs", "scale", "solve"]
