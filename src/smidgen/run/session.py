"""How this session of a run trains: where, with how many threads, and how many trials at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from smidgen.machine import cores
from smidgen.run.job import Job
from smidgen.run.plan import Trial
from smidgen.spec import SmidgenError
from smidgen.train import World
from smidgen.train.parallel import ALONE
from smidgen.train.threads import threads_here, threads_worth

__all__ = ["Session", "trains_on", "workers_for"]


@dataclass(frozen=True, slots=True)
class Session:
    """What all trainings of a run have in common, from its start or a resume to its end or a stop.

    every    seconds between checkpoints
    threads  of the processor for each trial; default: `all_threads` where they are worth it, else one
    device   "cpu" or "cuda"
    world    the processes that share each training
    workers  trials that are trained at the same time
    """

    seed: int = 0
    every: float = 600.0
    threads: int | None = None
    all_threads: int = 1
    device: str = "cpu"
    world: World = ALONE
    workers: int = 1


def trains_on(job: Job) -> str:
    """The device of the trainings. Raises SmidgenError where the one that is asked for is not there."""
    if job.train_on == "cuda" and not torch.cuda.is_available():
        raise SmidgenError("torch sees no CUDA device here; --train-on cpu trains on the processor")
    return job.train_on or ("cuda" if torch.cuda.is_available() else "cpu")


def workers_for(job: Job, trials: Sequence[Trial]) -> int:
    """Candidates to train at the same time: one a processor where each uses one thread, else one."""
    if job.workers is not None:
        return min(job.workers, len(trials))
    if trains_on(job) != "cpu":
        return 1
    largest = max(trial.recipe.batch_size * trial.network.cost().macs for trial in trials)
    threads = job.threads or threads_worth(largest, threads_here())
    return max(1, min(len(trials), cores() // threads))
