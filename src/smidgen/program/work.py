"""What the fused steps of a network have to do, without its weights: what their time depends on."""

from __future__ import annotations

from typing import NamedTuple

from smidgen.graph.nodes import ActivationKind
from smidgen.program.program import Program
from smidgen.program.steps import Conv, Depthwise, Pointwise, Step

__all__ = ["KINDS", "Work", "work_of"]

KINDS = ("conv", "winograd", "depthwise", "pooling", "mean", "pointwise", "transpose")


class Work(NamedTuple):
    """One fused step on one picture.

    kind           one of KINDS
    kernel, stride  1 where the step has no window
    c_in, c_out    channels read and written
    height, width  of the map that is written
    narrow         channels before the expansion that a depthwise convolution makes itself; 0 for none
    activation     that of the output, or of the input where the output has none
    before         the input is normalised, or activated
    runs           of the shift of the input, each of some channels; 0 for none
    gated, added   the input is multiplied by a gate; something is added to the output
    planar         the input's channels lie apart, as the caller's do
    """

    kind: str
    kernel: int
    stride: int
    c_in: int
    c_out: int
    height: int
    width: int
    narrow: int = 0
    activation: ActivationKind | None = None
    before: bool = False
    runs: int = 0
    gated: bool = False
    added: bool = False
    planar: bool = False

    @property
    def pixels(self) -> int:
        """Of the map that is written."""
        return self.height * self.width


def work_of(step: Step, program: Program) -> Work:
    """What a step of a program has to do."""
    x, y = program.maps[step.x.map].shape, program.maps[step.y.map].shape
    leaf = getattr(step, "leaf", None)
    found = Work(
        type(step).__name__.lower(),
        leaf.kernel if leaf else 1,
        leaf.stride if leaf else 1,
        step.x.channels,
        step.y.channels,
        y.height,
        y.width,
        planar=step.x.map == program.input,
    )
    match step:
        case Conv(before=before, after=after):
            return found._replace(
                kind="winograd" if step.way == "winograd" else "conv",
                activation=after.activation or after.then or (before.activation if before else None),
                before=before is not None,
                runs=len(step.runs),
                gated=step.gate is not None,
                added=after.add is not None,
            )
        case Depthwise(first=first):
            return found._replace(activation=step.activation, narrow=first.x.channels if first else 0)
        case Pointwise(before=before):
            return found._replace(
                activation=step.then or (before.activation if before else None),
                before=before is not None,
                runs=len(step.runs),
                gated=step.factor is not None,
                added=step.add is not None,
            )
        case _:
            return found._replace(height=x.height, width=x.width) if found.kind == "mean" else found
