"""Candidates against each other."""

from smidgen.search.fit import Fitted, Job, fit, train_one
from smidgen.search.propose import propose

__all__ = ["Fitted", "Job", "fit", "propose", "train_one"]
