"""What a program computes and nobody reads is not computed.

A shift in front of a strided 1x1 convolution looks, in each channel, at one pixel of `stride` x `stride`.
Where the map that it looks at is made by a 1x1 convolution, the other pixels need not be made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from smidgen.graph.leaves import has_no_window
from smidgen.program import Conv, Pixels, Program, Run, Step, views_read
from smidgen.spec import Shape

__all__ = ["only_what_is_read"]


class _Class(NamedTuple):
    """Channels that are read at the same pixels."""

    pixels: Pixels
    channels: list[int]
    runs: list[Run]


def only_what_is_read(program: Program) -> Program:
    """The same answers, to the bit where sums are taken in the same order, with fewer multiply-adds."""
    readers = Counter(view.map for step in program.steps for view in views_read(step))
    writers = Counter(step.y.map for step in program.steps)
    makers = {step.y.map: step for step in program.steps if isinstance(step, Conv)}
    maps, steps, new_ids = list(program.maps), list(program.steps), count(program.next_id)
    for reader in program.steps:
        if not isinstance(reader, Conv) or readers[reader.x.map] != 1 or writers[reader.x.map] != 1:
            continue
        maker, made = makers.get(reader.x.map), maps[reader.x.map]
        if maker is None or not _can_skip(maker, reader, made.shape):
            continue
        classes, stride = _classes(reader), reader.leaf.stride
        at = _index(steps, maker)
        steps[at : at + 1] = _made(maker, classes, new_ids)
        steps[_index(steps, reader)] = _reading(reader, classes)
        channels, height, width = made.shape[:3]
        maps[reader.x.map] = made._replace(shape=Shape(channels, height // stride, width // stride))
    return program._replace(steps=tuple(steps), maps=tuple(maps))


def _index(steps: list[Step], step: Step) -> int:
    return next(index for index, other in enumerate(steps) if other.id == step.id)


def _can_skip(maker: Conv, reader: Conv, shape: Shape) -> bool:
    """Whether the reader shifts and strides over what a 1x1 convolution makes, all classes of one size."""
    made, read = maker.leaf, reader.leaf
    return (
        bool(reader.runs)
        and read.stride > 1
        and shape.height % read.stride == shape.width % read.stride == 0
        and reader.before is None
        and reader.gate is None
        and has_no_window(made)
        and (made.stride, made.groups) == (1, 1)
        and not maker.runs
        and maker.gate is None
        and maker.after.add is None
    )


def _classes(reader: Conv) -> list[_Class]:
    """The largest first: the few that fill no whole vectors come last."""
    stride = reader.leaf.stride
    found: dict[Pixels, _Class] = {}
    first = 0
    for width, dy, dx in reader.runs:
        pixels = Pixels(dy % stride, dx % stride, stride)
        one = found.setdefault(pixels, _Class(pixels, [], []))
        one.channels.extend(range(first, first + width))
        one.runs.append((width, dy // stride, dx // stride))
        first += width
    return sorted(found.values(), key=lambda one: -len(one.channels))


def _made(maker: Conv, classes: list[_Class], new_ids: Iterator[int]) -> list[Conv]:
    """One convolution for each class, which writes side by side; the first keeps the step's id."""
    steps, first = [], maker.y.first
    for number, (pixels, channels, _) in enumerate(classes):
        # It begins at the class's first pixel: a shift of all channels alike, never over the edge.
        begins = ((maker.x.channels, pixels.row, pixels.column),) if pixels.row or pixels.column else ()
        steps.append(
            maker._replace(
                id=next(new_ids) if number else maker.id,
                y=maker.y._replace(channels=len(channels), first=first),
                leaf=replace(maker.leaf, c_out=len(channels), stride=pixels.stride),
                weight=maker.weight.some(channels),
                bias=None if maker.bias is None else maker.bias.some(channels),
                runs=begins,
                pixels=pixels,
            )
        )
        first += len(channels)
    return steps


def _reading(reader: Conv, classes: list[_Class]) -> Conv:
    """It finds the classes' pixels side by side, and its channels in their order."""
    order = [channel for one in classes for channel in one.channels]
    return reader._replace(
        leaf=replace(reader.leaf, stride=1),
        weight=reader.weight._replace(array=reader.weight.array[:, order]),
        runs=tuple(run for one in classes for run in one.runs),
        reordered=True,
    )
