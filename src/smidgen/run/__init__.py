"""One run, from what is asked to its evidence: what `fit`, `train` and `resume` share.

    fitted = fit(Job("photos"), Budget(params=200_000), Watch())

A `Job` is what is asked, a `Plan` what is decided, a `Session` how it is trained. A `Runner` trains one
`Trial` of the plan at a time.
"""

from smidgen.run.fit import Fitted, fit, resume, train_one
from smidgen.run.job import Job
from smidgen.run.plan import Plan, Trial
from smidgen.run.propose import propose
from smidgen.run.runner import Runner
from smidgen.run.session import Session

__all__ = ["Fitted", "Job", "Plan", "Runner", "Session", "Trial", "fit", "propose", "resume", "train_one"]
