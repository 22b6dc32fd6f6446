"""What a plan computes and nobody reads is not computed.

A shift in front of a strided 1x1 convolution looks, in each channel, at one pixel of `stride` x `stride`.
Where the map that it looks at is made by a 1x1 convolution, the other pixels need not be made.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from smidgen.graph import pad
from smidgen.program.program import Array, Conv, Plan, Run, Step, views_read
from smidgen.spec import Shape

__all__ = ["only_what_is_read"]


class _Class(NamedTuple):
    """Channels that are read at the same pixels: rows `row`, `row` + stride, …, and columns alike."""

    row: int
    column: int
    channels: list[int]
    runs: list[Run]


def only_what_is_read(plan: Plan) -> Plan:
    """The same answers, to the bit where sums are taken in the same order, with fewer multiply-adds."""
    readers = Counter(view.map for step in plan.steps for view in views_read(step))
    writers = Counter(step.y.map for step in plan.steps)
    makers = {step.y.map: step for step in plan.steps if isinstance(step, Conv)}
    maps, steps = list(plan.maps), list(plan.steps)
    for reader in plan.steps:
        if not isinstance(reader, Conv) or readers[reader.x.map] != 1 or writers[reader.x.map] != 1:
            continue
        maker = makers.get(reader.x.map)
        if maker is None or not _can_skip(maker, reader, maps[reader.x.map]):
            continue
        classes = _classes(reader)
        at = _index(steps, maker)
        steps[at : at + 1] = _made(maker, classes, reader.leaf.stride)
        steps[_index(steps, reader)] = _reading(reader, classes)
        channels, height, width = maps[reader.x.map][:3]
        maps[reader.x.map] = Shape(channels, height // reader.leaf.stride, width // reader.leaf.stride)
    return plan._replace(steps=tuple(steps), maps=tuple(maps))


def _index(steps: list[Step], step: Step) -> int:
    return next(number for number, other in enumerate(steps) if other is step)


def _can_skip(maker: Conv, reader: Conv, shape: Shape) -> bool:
    """Whether the reader shifts and strides over what a 1x1 convolution makes, all classes of one size."""
    made, read = maker.leaf, reader.leaf
    return (
        bool(reader.runs)
        and read.stride > 1
        and shape.height % read.stride == shape.width % read.stride == 0
        and reader.before is None
        and reader.gate is None
        and (made.kernel, made.stride, made.groups) == (1, 1, 1)
        and made.padding in ("same", pad(0))
        and not maker.runs
        and maker.gate is None
        and maker.after.add is None
    )


def _classes(reader: Conv) -> list[_Class]:
    """The largest first: the few that fill no whole vectors come last."""
    stride = reader.leaf.stride
    found: dict[tuple[int, int], _Class] = {}
    first = 0
    for count, dy, dx in reader.runs:
        row, column = dy % stride, dx % stride
        one = found.setdefault((row, column), _Class(row, column, [], []))
        one.channels.extend(range(first, first + count))
        one.runs.append((count, dy // stride, dx // stride))
        first += count
    return sorted(found.values(), key=lambda one: -len(one.channels))


def _made(maker: Conv, classes: list[_Class], stride: int) -> list[Conv]:
    """One convolution for each class, which writes side by side."""

    def some(numbers: Array | None, channels: list[int]) -> Array | None:
        return None if numbers is None else numbers[channels]

    steps, first = [], maker.y.first
    for one in classes:
        count = len(one.channels)
        # It begins at the class's first pixel: a shift of all channels alike, never over the edge.
        begins = ((maker.x.channels, one.row, one.column),) if one.row or one.column else ()
        steps.append(
            maker._replace(
                name=f"{maker.name}[{one.row}::{stride}, {one.column}::{stride}]",
                y=maker.y._replace(channels=count, first=first),
                leaf=replace(maker.leaf, c_out=count, stride=stride),
                weight=maker.weight[one.channels],
                scale=some(maker.scale, one.channels),
                bias=some(maker.bias, one.channels),
                runs=begins,
            )
        )
        first += count
    return steps


def _reading(reader: Conv, classes: list[_Class]) -> Conv:
    """It finds the classes' pixels side by side, and its channels in their order."""
    order = [channel for one in classes for channel in one.channels]
    return reader._replace(
        name=f"{reader.name}[ordered]",
        leaf=replace(reader.leaf, stride=1),
        weight=reader.weight[:, order],
        runs=tuple(run for one in classes for run in one.runs),
    )
