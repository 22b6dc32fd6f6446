"""How much of a network to prune, and which channels that takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smidgen.compress.moments import Floats
from smidgen.compress.wiring import Keep, Wiring
from smidgen.spec import SmidgenError

__all__ = ["LEAST_LEFT", "MULTIPLE", "Share", "chosen"]

# The engine's kernels are fastest with multiples of 16; narrow networks need finer steps.
MULTIPLE = 4
LEAST_LEFT = 0.25  # of the channels of any group


@dataclass(frozen=True, slots=True)
class Share:
    """Shares of the channels that go, 0 to 0.75 each.

    inner   of those between the expansion and the projection of one block
    stream  of those that blocks hand to each other
    Raises  SmidgenError on other shares.
    """

    inner: float = 0.0
    stream: float = 0.0

    def __post_init__(self) -> None:
        for kind, share in (("inner", self.inner), ("stream", self.stream)):
            if not 0 <= share <= 1 - LEAST_LEFT:
                raise SmidgenError(f"{kind}={share}: a share of 0 to {1 - LEAST_LEFT} can be pruned")


def chosen(wiring: Wiring, importance: Floats, share: Share) -> Keep:
    """Which channels stay: of each group, those that matter most.

    Every group keeps a multiple of 4 (or all), at least 4 and a quarter of its channels. What a smaller share
    prunes, a larger one prunes too.
    """
    keep = np.ones(wiring.count, bool)
    for group in wiring.groups:
        stays = _left(len(group.channels), share.inner if group.inner else share.stream)
        order = np.argsort(-importance[group.channels], kind="stable")
        keep[group.channels[order[stays:]]] = False
    return keep


def _left(size: int, share: float) -> int:
    """Channels that stay of a group of this size."""
    least = max(size - int(share * size), MULTIPLE, LEAST_LEFT * size)
    return min(size, -int(-least // MULTIPLE) * MULTIPLE)
