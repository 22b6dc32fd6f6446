"""A depthwise convolution counts the mean of what it makes, for the gate behind it, while it is at hand."""

from __future__ import annotations

from smidgen.program import Depthwise, Mean, Program, Step, View

__all__ = ["means"]


def means(program: Program) -> Program:
    """The first mean of each depthwise convolution's map is taken by the convolution."""
    makers = {step.y for step in program.steps if isinstance(step, Depthwise)}
    first: dict[View, Mean] = {}
    for step in program.steps:
        if isinstance(step, Mean) and step.x in makers:
            first.setdefault(step.x, step)
    taken = {step.id for step in first.values()}
    return program._replace(
        steps=tuple(_counting(step, first) for step in program.steps if step.id not in taken)
    )


def _counting(step: Step, first: dict[View, Mean]) -> Step:
    if isinstance(step, Depthwise) and step.y in first:
        return step._replace(mean=first[step.y].y)
    return step
