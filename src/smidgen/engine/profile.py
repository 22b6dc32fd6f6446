"""What each fused step of a network took, and what it had to do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.engine.passes import for_engine
from smidgen.graph import Network
from smidgen.program import Conv, Depthwise, Ones, Pixels, Program, Step, Work, lower, work_of

__all__ = ["StepTime", "listed", "times"]


class StepTime(NamedTuple):
    """What one fused step took for one picture.

    id      number of the step in its program
    layer   state-dict prefix of the layer that the step came from
    work    what the step has to do
    ms      milliseconds
    macs    multiply-adds, without those that nobody reads; 0 for steps without any
    peak    GFLOP/s of this machine's arithmetic, on as many threads
    pixels  which of its layer's pixels it makes; None for all
    """

    id: int
    layer: str
    work: Work
    ms: float
    macs: int
    peak: float
    pixels: Pixels | None = None

    @property
    def name(self) -> str:
        """To be read: the layer, and behind it in brackets which of its pixels are made."""
        return self.layer if self.pixels is None else f"{self.layer}[{self.pixels}]"

    @property
    def gflops(self) -> float:
        """Thousand million operations a second, a multiply-add being two."""
        return 2 * self.macs / (1e6 * self.ms) if self.ms else 0.0

    @property
    def share(self) -> float:
        """Of the machine's peak. By Winograd's way a convolution may pass 1: its multiply-adds are counted as
        the direct way would do them.
        """
        return self.gflops / self.peak


def listed(network: Network) -> list[Work]:
    """The steps that the engine makes of a network, at its own resolution, whatever its weights.

    Raises   ShapeError, ModelFileError as `Engine`.
    """
    program = for_engine(lower(network, Ones(network)))
    return [work_of(step, program) for step in program.steps]


def times(program: Program, ids: tuple[int, ...], ms: NDArray[np.float64], peak: float) -> list[StepTime]:
    """The median of every step, in the order in which they run.

    ids  of the step that each operation is of: the native library may take several for one
    ms   float64[calls, operations], milliseconds of a picture
    """
    whose = np.array(ids)
    return [
        StepTime(
            step.id,
            step.layer,
            work_of(step, program),
            float(np.median(ms[:, whose == step.id].sum(1))),
            _macs(step, program),
            peak,
            step.pixels if isinstance(step, Conv) else None,
        )
        for step in program.steps
    ]


def _macs(step: Step, program: Program) -> int:
    """As a network's cost counts them: groups without the zeros that fill them up."""
    if isinstance(step, Conv):
        return program.macs_of(step) // step.leaf.groups
    return program.macs_of(step) if isinstance(step, Depthwise) else 0
