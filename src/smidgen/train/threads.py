"""How many processor threads a training is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["WORTH_SHARING", "sharing", "threads_worth"]

# Multiply-adds of one forward step from which a second thread gains more than waiting for it costs. Below,
# the threads meet at a barrier every few microseconds, and on a busy machine each meeting may cost a
# time slice: 30,000-parameter networks on 8x8 digits were 10 to 25 times slower with two threads there.
WORTH_SHARING = 1_000_000_000


@contextlib.contextmanager
def sharing(macs_per_step: int, asked: int | None = None) -> Iterator[None]:
    """Use one thread for small steps and torch's own number for large ones, or as many as `asked`."""
    before = torch.get_num_threads()
    torch.set_num_threads(asked or threads_worth(macs_per_step, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_worth(macs_per_step: int, most: int) -> int:
    """Threads for a step: `most` where it has enough work for several, else one."""
    return most if macs_per_step >= WORTH_SHARING else 1
