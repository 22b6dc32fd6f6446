"""The shape of a sample, and what a network costs."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

__all__ = [
    "Cost",
    "Shape",
]


class Shape(NamedTuple):
    """Shape of one sample: channels and map size, or `flat` features (height and width are then 1)."""

    channels: int
    height: int = 1
    width: int = 1
    flat: bool = False

    @property
    def numel(self) -> int:
        """Number of elements of one sample."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        if self.flat:
            return str(self.channels)
        return f"{self.channels}x{self.height}x{self.width}"


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What one network costs for one picture, counted exactly from its tree.

    params       trainable numbers
    buffers      other numbers in the state (BatchNorm statistics and counters)
    macs         multiply-adds of convolutions and linear layers (1 MAC = 2 FLOPs)
    elementwise  operations that macs leave out: norms, activations, pooling, sums, gates
    peak_bytes   most activation bytes alive at once, batch 1, fp32, input included
    """

    params: int
    buffers: int
    macs: int
    elementwise: int
    peak_bytes: int
