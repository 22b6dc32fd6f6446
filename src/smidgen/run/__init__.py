"""One run, from what is asked to its evidence: what `fit`, `train` and `resume` share."""

from smidgen.run.fit import Fitted, fit, resume, train_one
from smidgen.run.job import Job
from smidgen.run.propose import propose

__all__ = ["Fitted", "Job", "fit", "propose", "resume", "train_one"]
