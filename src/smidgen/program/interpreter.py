"""The program in numpy, slow and readable: what the native kernels must agree with, and runs without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from smidgen.graph.leaves import has_no_window, sides
from smidgen.graph.nodes import ActivationKind, Pool
from smidgen.graph.nodes import Conv as ConvLeaf
from smidgen.program.program import Program
from smidgen.program.steps import (
    Affine,
    Conv,
    Depthwise,
    Mean,
    Pointwise,
    Pooling,
    Run,
    Step,
    Transpose,
    View,
    inner,
)
from smidgen.program.values import Array, Weight

__all__ = ["interpret"]

# Hears of every value that a step makes on its way, as `inner` names them.
Listener: TypeAlias = Callable[[Step, str, Array], None]
Made: TypeAlias = Callable[[str, Array], Array]  # takes such a value, and gives it back


def interpret(program: Program, x: Array, hear: Listener | None = None) -> Array:
    """Run the program: float32[N, C, H, W] -> float32[N, outputs].

    How a machine does a step changes nothing here: passes for machines may have been over the program.

    hear    is given the step, the value's name and its numbers
    Raises  ValueError on numbers other than float32.
    """
    program.require_float32("the interpreter")
    maps = {
        number: np.empty((len(x), *one.shape[:3]), np.float32)
        for number, one in enumerate(program.maps)
        if number != program.input
    }
    maps[program.input] = x

    def get(view: View) -> Array:
        return maps[view.map][:, view.first : view.first + view.channels]

    for step in program.steps:
        _run(step, get, hear)
    return maps[program.output][:, :, 0, 0]


def _run(step: Step, get: Callable[[View], Array], hear: Listener | None) -> None:
    """One step; `get` gives a view's numbers, to read or to write."""
    x, y = get(step.x), get(step.y)

    def made(name: str, value: Array) -> Array:
        if hear is not None and name in inner(step):
            hear(step, name, value)
        return value

    match step:
        case Conv():
            y[:] = _conv(step, x, get, made)
        case Depthwise():
            if step.first is not None:
                _run(step.first, get, hear)
            convolved = made("convolved", _convolved(x, step.weight, step.bias, step.leaf))
            y[:] = _activated(convolved, step.activation)
            if step.mean is not None:
                get(step.mean)[:] = y.mean((2, 3), keepdims=True)
        case Pooling():
            y[:] = _pooled(x, step.leaf, y.shape[2:])
        case Mean():
            y[:] = x.mean((2, 3), keepdims=True)
        case Pointwise():
            y[:] = _pointwise(step, x, get, made)
        case Transpose():
            y[:] = x.reshape(y.shape)
        case _:
            assert_never(step)


def _conv(step: Conv, x: Array, get: Callable[[View], Array], made: Made) -> Array:
    x = _before(_shifted(x, step.runs), step.before, made)
    if step.gate is not None:
        x = made("gated", x * get(step.gate))
    y = made("convolved", _convolved(x, step.weight, step.bias, step.leaf))
    if step.after.activation is not None:
        y = made("activated", _activated(y, step.after.activation))
    if step.after.add is not None:
        y = made("added", y + get(step.after.add))
    return _activated(y, step.after.then)


def _pointwise(step: Pointwise, x: Array, get: Callable[[View], Array], made: Made) -> Array:
    x = _before(_shifted(x, step.runs), step.before, made)
    if step.factor is not None:
        x = made("gated", x * get(step.factor))
    if step.add is not None:
        x = made("added", x + get(step.add))
    return _activated(x, step.then)


def _before(x: Array, affine: Affine | None, made: Made) -> Array:
    if affine is None:
        return x
    if affine.scale is not None and affine.offset is not None:
        scale, offset = affine.scale.numbers, affine.offset.numbers
        x = made("normed", x * scale[:, None, None] + offset[:, None, None])
    return made("before", _activated(x, affine.activation))


def _activated(x: Array, kind: ActivationKind | None) -> Array:
    match kind:
        case None:
            return x
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "sigmoid":
            return _sigmoid(x)
        case "silu":
            return x * _sigmoid(x)
        case _:
            assert_never(kind)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) of a very negative number is infinite, and the sigmoid 0
        return np.float32(1) / (np.float32(1) + np.exp(-x))


def _shifted(x: Array, runs: tuple[Run, ...]) -> Array:
    if not runs:
        return x
    y = np.zeros_like(x)
    height, width = x.shape[2:]
    first = 0
    for count, dy, dx in runs:
        part = slice(first, first + count)
        rows = slice(max(0, -dy), max(0, height - max(0, dy)))
        columns = slice(max(0, -dx), max(0, width - max(0, dx)))
        from_rows = slice(rows.start + dy, rows.stop + dy)
        from_columns = slice(columns.start + dx, columns.stop + dx)
        if rows.start < rows.stop and columns.start < columns.stop:
            y[:, part, rows, columns] = x[:, part, from_rows, from_columns]
        first += count
    return y


def _convolved(x: Array, weight: Weight, bias: Weight | None, leaf: ConvLeaf) -> Array:
    factors = weight.numbers
    if has_no_window(leaf):
        windows = x[:, :, :: leaf.stride, :: leaf.stride, None, None]
    else:
        padded = np.pad(x, ((0, 0), (0, 0), *sides(leaf, *x.shape[2:])))
        reach = leaf.dilation * (leaf.kernel - 1) + 1
        windows = sliding_window_view(padded, (reach, reach), (2, 3))[
            :, :, :: leaf.stride, :: leaf.stride, :: leaf.dilation, :: leaf.dilation
        ]
    if factors.shape[1] == x.shape[1]:
        y = np.tensordot(windows, factors, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    else:
        y = np.einsum("nchwij,cij->nchw", windows, factors[:, 0])
    return y if bias is None else y + bias.numbers[:, None, None]


def _pooled(x: Array, leaf: Pool, size: tuple[int, ...]) -> Array:
    """Windows that lie over the edge see the padding: nothing for a maximum, zeros for an average."""
    height, width = size
    beyond = [
        max(0, (out - 1) * leaf.stride + leaf.kernel - before - leaf.padding)
        for out, before in zip(size, x.shape[2:], strict=True)
    ]
    around = ((0, 0), (0, 0), *((leaf.padding, after) for after in beyond))

    def windows(array: Array, fill: float) -> Array:
        padded = np.pad(array, around, constant_values=fill)
        return sliding_window_view(padded, (leaf.kernel, leaf.kernel), (2, 3))[
            :,
            :,
            : (height - 1) * leaf.stride + 1 : leaf.stride,
            : (width - 1) * leaf.stride + 1 : leaf.stride,
        ]

    if leaf.kind == "max":
        largest: Array = windows(x, -np.inf).max((4, 5))
        return largest
    # Torch counts the padding on both sides, but never what ceil_mode adds beyond it.
    counted = np.ones((1, 1, *x.shape[2:]), np.float32)
    if leaf.count_include_pad:
        counted = np.pad(counted, ((0, 0), (0, 0), *((leaf.padding,) * 2,) * 2), constant_values=1)
        room = [max(0, after - leaf.padding) for after in beyond]
        counted = np.pad(counted, ((0, 0), (0, 0), (0, room[0]), (0, room[1])))
        taken = sliding_window_view(counted, (leaf.kernel, leaf.kernel), (2, 3))
        number = taken[:, :, :: leaf.stride, :: leaf.stride][:, :, :height, :width].sum((4, 5))
    else:
        number = windows(counted, 0).sum((4, 5))
    mean: Array = windows(x, 0).sum((4, 5)) / number
    return mean
