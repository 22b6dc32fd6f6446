"""The input comes with its channels apart; steps that cannot read it so get a copy in the arena."""

from __future__ import annotations

from typing import TypeVar

from smidgen.program import Conv, Depthwise, Mean, Pointwise, Pooling, Program, Step, View, views_read

__all__ = ["copied_input"]

Maybe = TypeVar("Maybe", View, View | None)


def copied_input(program: Program) -> Program:
    """A copy first, where any step needs one: convolutions and elementwise steps take `x` as it came."""
    whole = View(program.input, program.maps[program.input].shape.channels)
    copy = whole._replace(map=len(program.maps))
    steps = tuple(
        _reading(step, whole, copy) if whole in views_read(step) else step for step in program.steps
    )
    if all(new is old for new, old in zip(steps, program.steps, strict=True)):
        return program
    copying = Pointwise(program.next_id, "", whole, copy)
    return program._replace(steps=(copying, *steps), maps=(*program.maps, program.maps[program.input]))


def _reading(step: Step, whole: View, copy: View) -> Step:
    """The step, with the copy in all places where it cannot read the input; itself where there is none."""

    def other(view: Maybe) -> Maybe:
        return copy if view == whole else view

    match step:
        case Depthwise() | Pooling() | Mean():
            return step._replace(x=copy)
        case Conv(gate=gate, after=after) if whole in (gate, after.add):
            return step._replace(gate=other(gate), after=after._replace(add=other(after.add)))
        case Pointwise(factor=factor, add=add) if whole in (factor, add):
            return step._replace(factor=other(factor), add=other(add))
        case _:
            return step
