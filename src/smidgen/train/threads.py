"""How many processor threads a training is worth."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch

from smidgen.kernels.threads import lost
from smidgen.machine import cores
from smidgen.spec import SmidgenWarning

__all__ = ["WORTH_SHARING", "WORTH_SHARING_ALONE", "sharing", "threads_here", "threads_worth"]

# Multiply-adds of one forward step from which a second thread gains more than waiting for it costs. Below,
# the threads meet at a barrier every few microseconds, and on a busy machine each meeting may cost a
# time slice: 30,000-parameter networks on 8x8 digits were 10 to 25 times slower with two threads there.
WORTH_SHARING = 1_000_000_000
# The same where nothing else of the job could use the other threads: on an idle machine two of them take
# 0.63 to 0.68 of the time of one for 10,000 and 30,000 parameters at 28 x 28, which are 109 and 270 million
# multiply-adds a step.
WORTH_SHARING_ALONE = 100_000_000


@contextlib.contextmanager
def sharing(macs_per_step: int, asked: int | None = None, *, alone: bool = False) -> Iterator[None]:
    """Use one thread for small steps and as many as there are here for large ones, or as many as `asked`.

    Where a fork has cost torch its threads it is always one, and a warning says so if it would be more.
    """
    wanted = asked or threads_worth(macs_per_step, _threads(), alone=alone)
    if lost() and wanted > 1:
        _warn_of_loss(f" for {asked}" if asked else "", 4)
        wanted = 1
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_here() -> int:
    """The number that torch has, but no more than there are cores: torch knows of no quota. One where a
    fork has cost it the others, and a warning says so.
    """
    found = _threads()
    if lost() and found > 1:
        _warn_of_loss("", 3)
        return 1
    return found


def _threads() -> int:
    """What there would be without a fork."""
    return min(torch.get_num_threads(), cores())


def _warn_of_loss(remedy: str, stacklevel: int) -> None:
    left = "torch has one thread in this forked process, as its OpenMP does not survive a fork"
    warnings.warn(f"{left}; start it by spawn{remedy or ' for more'}", SmidgenWarning, stacklevel)


def threads_worth(macs_per_step: int, most: int, *, alone: bool = False) -> int:
    """Threads for a step: `most` where it has enough work for several, else one.

    alone   whether no other training could use them meanwhile
    """
    return most if macs_per_step >= (WORTH_SHARING_ALONE if alone else WORTH_SHARING) else 1
