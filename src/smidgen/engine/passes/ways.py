"""How each convolution is done: directly, by Winograd's way, or with its gate first."""

from __future__ import annotations

from smidgen.program import Conv, Program, Step, Way, views_read

__all__ = ["ways"]

ENOUGH = 16  # channels, and a sixth of the pixels, for Winograd's transformations to pay
CACHED = 2**20  # numbers of transformed weights, four times as many as before, that a cache still holds


def ways(program: Program) -> Program:
    """Every convolution with its way, decided once."""
    last = {view.map: index for index, step in enumerate(program.steps) for view in views_read(step)}
    return program._replace(
        steps=tuple(_with_way(step, program, last, index) for index, step in enumerate(program.steps))
    )


def _with_way(step: Step, program: Program, last: dict[int, int], index: int) -> Step:
    """`last` has the place of the last step that reads each map."""
    if not isinstance(step, Conv):
        return step
    way: Way = "direct"
    if _by_winograd(step, program):
        way = "winograd"
    elif _gate_first(step, program) and last[step.x.map] == index:
        way = "gate first"
    return step if way == step.way else step._replace(way=way)


def _by_winograd(step: Conv, program: Program) -> bool:
    """Whether Winograd's way is the faster one: enough channels and pixels for its transformations to pay,
    and weights that a cache still holds.
    """
    leaf, y = step.leaf, program.maps[step.y.map].shape
    return (
        (leaf.kernel, leaf.stride, leaf.dilation) == (3, 1, 1)
        and step.x.map != program.input  # its channels lie apart
        and min(leaf.c_in, leaf.c_out) >= ENOUGH
        and y.height * y.width >= ENOUGH * 6
        and 36 * leaf.c_in * leaf.c_out <= CACHED
    )


def _gate_first(step: Conv, program: Program) -> bool:
    """Whether the gate is multiplied into the input, which nobody needs afterwards.

    Into the weights it is multiplied again for every block of pixels. On small maps the input is the smaller
    of the two.
    """
    add, kept = step.after.add, (program.input, program.output)
    if step.gate is None or step.runs or step.before or step.x.map in kept:
        return False
    if add is not None and add.map == step.x.map:
        return False
    shape = program.maps[step.x.map].shape
    return shape.height * shape.width < 4 * step.y.channels
