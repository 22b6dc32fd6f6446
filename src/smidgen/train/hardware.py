"""What computes a training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smidgen.train.parallel import ALONE, World
from smidgen.train.replay import Recorder

__all__ = ["CPU", "Hardware"]

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Hardware:
    """A device, the processes that share the work, and how steps are repeated.

    recorder  how steps are recorded and replayed; None: they are not
    """

    device: torch.device = CPU
    world: World = ALONE
    recorder: Recorder | None = None
