"""The numbers of a Program: how they are kept, in maps, in weights and on the way through a step."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.spec import Shape

__all__ = ["FLOAT32", "Array", "DType", "Encoding", "Map", "Weight"]

Array: TypeAlias = NDArray[np.float32]
DType: TypeAlias = np.dtype[Any]  # numpy's own: it knows its bytes

FLOAT32: DType = np.dtype(np.float32)


class Encoding(NamedTuple):
    """How the numbers of one value are kept: a number is (what is kept - zero) * scale.

    scale, zero  None for floats, which are kept as they are
    """

    dtype: DType = FLOAT32
    scale: float | None = None
    zero: int | None = None


class Map(NamedTuple):
    """A value that lies in memory from the step that writes it to the last that reads it; one picture's.

    scale, zero  as those of an Encoding
    """

    shape: Shape
    dtype: DType = FLOAT32
    scale: float | None = None
    zero: int | None = None

    @property
    def numel(self) -> int:
        """Numbers of one picture."""
        return self.shape.numel

    @property
    def bytes(self) -> int:
        """Of one picture."""
        return self.shape.numel * self.dtype.itemsize


class Weight(NamedTuple):
    """Numbers that were learnt: scale * array.

    array  [c_out, …]; its dtype is the weight's
    scale  float32[c_out], or None for 1: what the BatchNorm behind a convolution multiplies by, and later
           what integers stand for
    """

    array: NDArray[Any]
    scale: Array | None = None

    @property
    def dtype(self) -> DType:
        """Of the numbers as they are kept."""
        return self.array.dtype

    @property
    def numbers(self) -> NDArray[Any]:
        """Scale and array multiplied; without a scale the array itself."""
        if self.scale is None:
            return self.array
        return self.array * self.scale.reshape(-1, *[1] * (self.array.ndim - 1))

    def some(self, channels: list[int]) -> Weight:
        """Of these output channels only."""
        return Weight(self.array[channels], None if self.scale is None else self.scale[channels])
