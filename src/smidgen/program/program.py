"""The Program: a network as a machine does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from smidgen.program.steps import Conv, Depthwise, Pointwise, Step, inner, learnt
from smidgen.program.values import FLOAT32, DType, Map

__all__ = ["Pass", "Program"]


class Program(NamedTuple):
    """Steps in the order in which they run, and the maps that they read and write.

    maps    the first is the network's input
    output  number of the map that the network answers with
    """

    steps: tuple[Step, ...]
    maps: tuple[Map, ...]
    output: int
    input: int = 0

    @property
    def next_id(self) -> int:
        """A number that no step has."""
        return 1 + max((one.id for step in self.steps for one in _with_first(step)), default=-1)

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolutions of one picture, zeros that fill up groups included."""
        return sum(self.macs_of(step) for step in self.steps)

    def macs_of(self, step: Step) -> int:
        """Of a step, and of the one that it does on its way."""
        return sum(
            one.weight.array.size * self.pixels(one)
            for one in _with_first(step)
            if isinstance(one, Conv | Depthwise)
        )

    def pixels(self, step: Step) -> int:
        """Of the map that a step writes."""
        shape = self.maps[step.y.map].shape
        return shape.height * shape.width

    def dtypes(self) -> set[DType]:
        """Of all maps, all weights, and all values on the way."""
        return {one.dtype for one in self.maps} | {
            dtype for step in self.steps for one in _with_first(step) for dtype in _dtypes(one)
        }

    def require_float32(self, reader: str) -> None:
        """Refuse numbers that `reader` would take for others. Raises ValueError."""
        others = self.dtypes() - {FLOAT32}
        if others:
            found = ", ".join(sorted(map(str, others)))
            raise ValueError(f"a program of {found} came; {reader} does float32 only")
        if any((one.scale, one.zero) != (None, None) for one in self.maps):
            raise ValueError(f"float32 maps with a scale or a zero came; {reader} takes floats as they are")


# What changes a program, for all machines or for one.
Pass: TypeAlias = Callable[[Program], Program]


def _with_first(step: Step) -> list[Step]:
    """The step, and the one that it does on its way."""
    return [step, step.first] if isinstance(step, Depthwise) and step.first is not None else [step]


def _dtypes(step: Step) -> Iterator[DType]:
    """An encoding of a value that the step does not make says nothing."""
    yield from (weight.dtype for weight in learnt(step).values())
    if isinstance(step, Conv | Depthwise | Pointwise) and step.inside:
        yield from (step.inside[name].dtype for name in inner(step) if name in step.inside)
