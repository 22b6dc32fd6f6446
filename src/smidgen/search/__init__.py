"""Candidates against each other."""

from smidgen.search.fit import Fitted, fit, resume, train_one
from smidgen.search.job import Job
from smidgen.search.propose import propose

__all__ = ["Fitted", "Job", "fit", "propose", "resume", "train_one"]
