"""A program for the native kernels: every step with its addresses, ready to run."""

from __future__ import annotations

import ctypes
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen.engine.packing import Packed
from smidgen.graph.leaves import sides
from smidgen.native import network as native
from smidgen.program import (
    LARGEST_MAP,
    Affine,
    Array,
    Conv,
    Depthwise,
    Mean,
    Pointwise,
    Pooling,
    Program,
    Run,
    Step,
    Transpose,
    View,
    lay_out,
)
from smidgen.spec import ShapeError

__all__ = ["Compiled"]

FLOAT = 4  # bytes: the native library counts in floats


class Compiled:
    """One program, that is one network at one resolution.

    arena_bytes  of the maps that one picture needs at once, the input and the output not among them
    steps        for each operation, the number of the step that it is of
    Raises       ShapeError where one picture takes more memory than any sensible network, ValueError where
                 numbers are not float32.
    """

    def __init__(self, program: Program, packed: Packed) -> None:
        program.require_float32("the engine")
        self._program, self._packed = program, packed
        self._arena = lay_out(program)
        self.arena_bytes = self._arena.bytes
        self._floats = self.arena_bytes // FLOAT
        self._firsts: list[native.Op] = []
        ops = [(step.id, op) for step in program.steps for op in self._ops(step)]
        self.steps = tuple(number for number, _ in ops)
        self._ops_array = (native.Op * len(ops))(*(op for _, op in ops))
        self.inputs, self.outputs = program.maps[program.input].numel, program.maps[program.output].numel
        needed = native.run_floats(self._ops_array, self._floats, 1)
        if needed > LARGEST_MAP:
            raise ShapeError(
                f"one picture of {program.maps[program.input].shape} takes {needed / 2**28:,.1f} GiB of "
                f"memory in its network, above the limit of {LARGEST_MAP / 2**28:g} GiB"
            )

    def memory(self, threads: int) -> Array:
        """Memory for `run`."""
        count = native.run_floats(self._ops_array, self._floats, threads)
        block = np.empty(count + 16, np.float32)
        start = -block.ctypes.data % 64 // 4
        return block[start : start + count]

    def run(
        self, x: Array, y: Array, memory: Array, threads: int, seconds: NDArray[np.float64] | None = None
    ) -> None:
        """x: float32[N, C, H, W], dense -> y: float32[N, outputs]."""
        native.run(
            self._ops_array,
            self._floats,
            len(x),
            (x.ctypes.data, self.inputs),
            (y.ctypes.data, self.outputs),
            memory.ctypes.data,
            threads,
            None if seconds is None else seconds.ctypes.data,
        )

    # ── steps as operations ──────────────────────────────────────────────────────────────────────────

    def _ops(self, step: Step) -> list[native.Op]:
        op = native.Op(x=self._view(step.x), y=self._view(step.y), kernel=1, stride=1, dilation=1)
        match step:
            case Conv():
                return self._conv(op, step)
            case Depthwise():
                return self._depthwise(op, step)
            case Pooling(leaf=leaf):
                op.kind = native.KINDS["pool"]
                average = "average" if leaf.count_include_pad else "average inside"
                op.pool = native.POOLS["max" if leaf.kind == "max" else average]
                op.kernel, op.stride = leaf.kernel, leaf.stride
                op.top = op.left = op.padding = leaf.padding
            case Mean():
                op.kind, op.factor = native.KINDS["mean"], 1 / (op.x.h * op.x.w)
            case Pointwise():
                op.kind = native.KINDS["pointwise"]
                self._before(op, step.before, step.runs)
                op.gate, op.add = self._view(step.factor), self._view(step.add)
                op.then = native.ACTIVATIONS[step.then]
            case Transpose():
                op.kind = native.KINDS["transpose"]
            case _:
                assert_never(step)
        return [op]

    def _conv(self, op: native.Op, step: Conv) -> list[native.Op]:
        op.kind = native.KINDS["conv"]
        self._window(op, step)
        op.winograd = step.way == "winograd"
        op.weight = self._packed.weight(step)
        self._before(op, step.before, step.runs)
        op.gate, op.add = self._view(step.gate), self._view(step.after.add)
        op.activation = native.ACTIVATIONS[step.after.activation]
        op.then = native.ACTIVATIONS[step.after.then]
        if step.way != "gate first":
            return [op]
        kind = native.KINDS["pointwise"]
        gating = native.Op(kind=kind, x=op.x, y=op.x, gate=op.gate, kernel=1, stride=1, dilation=1)
        op.gate = native.View()
        return [gating, op]

    def _depthwise(self, op: native.Op, step: Depthwise) -> list[native.Op]:
        op.kind = native.KINDS["depthwise"]
        self._window(op, step)
        op.weight = self._packed.depthwise(step)
        op.activation = native.ACTIVATIONS[step.activation]
        if step.first is not None:
            (first,) = self._ops(step.first)
            self._firsts.append(first)  # it must live as long as its address is used
            op.first = ctypes.addressof(first)
        return [op] if step.mean is None else [op, self._mean(op, step.mean)]

    def _mean(self, op: native.Op, mean: View) -> native.Op:
        """Each part of a depthwise convolution leaves its sums behind the arena; this puts them together."""
        parts, channels, behind = native.op_sums(op), op.y.c, self.arena_bytes // FLOAT
        op.sums = native.View(behind, parts, 1, channels, channels, 1, native.SPACES["arena"])
        self._floats = max(self._floats, behind + parts * channels)
        return native.Op(
            kind=native.KINDS["mean"],
            x=op.sums,
            y=self._view(mean),
            kernel=1,
            stride=1,
            factor=1 / (op.y.h * op.y.w),
        )

    def _window(self, op: native.Op, step: Conv | Depthwise) -> None:
        leaf = step.leaf
        op.kernel, op.stride, op.dilation = leaf.kernel, leaf.stride, leaf.dilation
        (op.top, _), (op.left, _) = sides(leaf, op.x.h, op.x.w)
        op.bias = self._packed.bias(step)

    def _before(self, op: native.Op, affine: Affine | None, runs: tuple[Run, ...]) -> None:
        if runs:
            op.runs, op.n_runs = self._packed.runs(runs), len(runs)
        if affine is not None:
            op.before = native.ACTIVATIONS[affine.activation]
            op.scale, op.offset = self._packed.norm(affine)

    def _view(self, view: View | None) -> native.View:
        if view is None:
            return native.View()
        shape, at = self._program.maps[view.map].shape, self._arena.at[view.map]
        if view.map == self._program.input:  # as it came: channels apart
            plane = shape.height * shape.width
            place, pixel, channel, space = view.first * plane, 1, plane, "input"
        else:
            place, pixel, channel, space = view.first, shape.channels, 1, "output"
            if at is not None:
                place, space = at // FLOAT + view.first, "arena"
        return native.View(
            place, shape.height, shape.width, view.channels, pixel, channel, native.SPACES[space]
        )
