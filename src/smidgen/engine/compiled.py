"""The plan for the native kernels: every step with its addresses, ready to run."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen.graph.leaves import sides
from smidgen.native import network as native
from smidgen.program.lower import LARGEST_MAP
from smidgen.program.memory import lay_out
from smidgen.program.program import (
    Affine,
    Array,
    Conv,
    Depthwise,
    Mean,
    Plan,
    Pointwise,
    Pooling,
    Step,
    Transpose,
    View,
    views_read,
)
from smidgen.spec import ShapeError

__all__ = ["Compiled", "Packed", "by_winograd"]

BLOCK = 2**22  # floats of memory that is asked for at a time, where packed weights lie


class Packed:
    """Weights as the kernels read them, made when first asked for and shared by the plans of all sizes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Any] = {}
        self._block = np.empty(0, np.float32)

    def address(self, name: str, part: str, make: Callable[[], Any]) -> int:
        """Address of what `make` makes the first time: a numpy or ctypes array."""
        key = (name, part)
        if key not in self._kept:
            self._kept[key] = make()
        return _address(self._kept[key])

    def pack(self, matrices: Sequence[Array], scale: Array | None = None) -> Array:
        """Matrices float32[columns, depth], each column times its scale, as the convolutions read them, one
        after the other.
        """
        factors = None if scale is None else scale.ctypes.data
        sizes = [native.packed_floats(*matrix.shape) for matrix in matrices]
        packed = self._room(sum(sizes))
        first = packed.ctypes.data
        for matrix, size in zip(matrices, sizes, strict=True):
            dense = np.ascontiguousarray(matrix)
            columns, depth = dense.shape
            native.pack(dense.ctypes.data, factors, columns, depth, first)
            first += 4 * size
        return packed

    def pack_products(self, matrices: Array, scale: Array | None) -> Array:
        """Matrices float32[products, columns, depth], each column times its scale: the products of a panel of
        columns one after the other, as they are read.
        """
        products, columns, depth = matrices.shape
        if scale is not None:
            matrices = matrices * scale[:, None]
        panel = native.padded(1)
        whole = columns // panel * panel
        panels = matrices[:, :whole].reshape(products, -1, panel, depth).swapaxes(0, 1)
        return self.pack([panels.reshape(-1, depth), *matrices[:, whole:]])

    def _room(self, floats: int) -> Array:
        """So many floats of a block that weights share: numpy asks for large pages where it is asked for
        much, and the first touch of small ones takes longer than packing.
        """
        if floats > len(self._block):
            self._block = np.empty(max(floats, BLOCK), np.float32)
        room, self._block = np.split(self._block, [floats])
        return room


def _address(array: Any) -> int:
    return int(array.ctypes.data) if isinstance(array, np.ndarray) else int(ctypes.addressof(array))


# The weights of F(4x4, 3x3) at the points 0, ±√½, ±√2 and infinity, ordered as in native/winograd.hpp: a row
# is (1, p, p²) over the derivative of x (x² - ½) (x² - 2) at p. Lavin and Gray 2016, arXiv:1509.09308.
_WINOGRAD = np.array(
    [(1, p, p * p) for p in (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))] + [(0, 0, 1)]
) / np.array([[1], [-1.5], [-1.5], [6], [6], [1]])


def _padded(bias: Array) -> Array:
    """With zeros behind it, as far as the kernels read."""
    room = np.zeros(native.padded(len(bias)), np.float32)
    room[: len(bias)] = bias
    return room


def winograd(weight: Array) -> Array:
    """float32[c_out, c_in, 3, 3] -> float32[36, c_out, c_in], the factors of the 36 products of a tile."""
    products = np.kron(_WINOGRAD, _WINOGRAD) @ weight.reshape(-1, 9).T.astype(np.float64)
    factors: Array = products.astype(np.float32).reshape(36, *weight.shape[:2])
    return factors


def by_winograd(step: Conv, plan: Plan) -> bool:
    """Whether Winograd's way is the faster one: enough channels and pixels for its transformations to pay,
    and weights, four times as many, that a cache still holds.
    """
    leaf, y, enough, cached = step.leaf, plan.maps[step.y.map], 16, 2**20
    return (
        (leaf.kernel, leaf.stride, leaf.dilation) == (3, 1, 1)
        and step.x.map != plan.input  # its channels lie apart
        and min(leaf.c_in, leaf.c_out) >= enough
        and y.height * y.width >= enough * 6
        and 36 * leaf.c_in * leaf.c_out <= cached
    )


class Compiled:
    """One plan, that is one network at one resolution.

    arena_bytes  of the maps of one picture on their way
    Raises       ShapeError where one picture takes more memory than any sensible network.
    """

    def __init__(self, plan: Plan, packed: Packed) -> None:
        self._plan, self._packed = plan, packed
        self._arena = lay_out(plan)
        self._floats = self._arena.size
        self._firsts: list[native.Op] = []
        listed = [(step.name, op) for step in plan.steps for op in self._ops(step)]
        self.names = tuple(name for name, _ in listed)
        self._ops_array = (native.Op * len(listed))(*(op for _, op in listed))
        self.inputs, self.outputs = plan.maps[plan.input].numel, plan.maps[plan.output].numel
        needed = native.run_floats(self._ops_array, self._floats, 1)
        if needed > LARGEST_MAP:
            raise ShapeError(
                f"one picture of {plan.maps[plan.input]} takes {needed / 2**28:,.1f} GiB of memory in its "
                f"network, above the limit of {LARGEST_MAP / 2**28:g} GiB"
            )

    @property
    def arena_bytes(self) -> int:
        """Bytes of the maps that one picture needs at once, the input and the output not among them."""
        return 4 * self._arena.size

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
                self._before(op, step.name, step.before, step.runs)
                op.gate, op.add = self._view(step.factor), self._view(step.add)
                op.then = native.ACTIVATIONS[step.then]
            case Transpose():
                op.kind = native.KINDS["transpose"]
            case _:
                assert_never(step)
        return [op]

    def _conv(self, op: native.Op, step: Conv) -> list[native.Op]:
        leaf = step.leaf
        op.kind = native.KINDS["conv"]
        self._window(op, step)
        c_out, depth = leaf.c_out, leaf.c_in * leaf.kernel**2

        def packed() -> Any:
            matrix = step.weight.transpose(0, 2, 3, 1).reshape(c_out, depth)
            return self._packed.pack([matrix], step.scale)

        def transformed() -> Any:
            return self._packed.pack_products(winograd(step.weight), step.scale)

        op.winograd = by_winograd(step, self._plan)
        make, part = (transformed, "winograd") if op.winograd else (packed, "weight")
        op.weight = self._packed.address(step.name, part, make)
        self._before(op, step.name, step.before, step.runs)
        op.gate, op.add = self._view(step.gate), self._view(step.after.add)
        op.activation = native.ACTIVATIONS[step.after.activation]
        op.then = native.ACTIVATIONS[step.after.then]
        if not self._gates_apart(step):
            return [op]
        kind = native.KINDS["pointwise"]
        gating = native.Op(kind=kind, x=op.x, y=op.x, gate=op.gate, kernel=1, stride=1, dilation=1)
        op.gate = native.View()
        return [gating, op]

    def _gates_apart(self, step: Conv) -> bool:
        """Whether the input is multiplied by its gate where it lies, before the convolution.

        The kernels multiply the gate into the weights, again for every block of pixels. On small maps the
        input is the smaller of the two; it must not be needed by anybody else.
        """
        shape = self._plan.maps[step.x.map]
        if step.gate is None or step.runs or step.before or self._arena.at[step.x.map] is None:
            return False
        later = self._plan.steps[self._plan.steps.index(step) + 1 :]
        needed = any(view.map == step.x.map for other in later for view in views_read(other))
        return shape.height * shape.width < 4 * step.y.channels and not needed

    def _depthwise(self, op: native.Op, step: Depthwise) -> list[native.Op]:
        op.kind = native.KINDS["depthwise"]
        self._window(op, step)
        op.weight = self._packed.address(
            step.name, "weight", lambda: np.ascontiguousarray(step.weight[:, 0].transpose(1, 2, 0))
        )
        op.activation = native.ACTIVATIONS[step.activation]
        if step.first is not None:
            (first,) = self._ops(step.first)
            self._firsts.append(first)  # it must live as long as its address is used
            op.first = ctypes.addressof(first)
        if step.mean is None:
            return [op]
        # Each part leaves its sums behind the arena, and a step of its own puts them together.
        parts, channels = native.op_sums(op), step.y.channels
        op.sums = native.View(self._arena.size, parts, 1, channels, channels, 1, native.SPACES["arena"])
        self._floats = max(self._floats, self._arena.size + parts * channels)
        factor = 1 / (op.y.h * op.y.w)
        mean = native.Op(
            kind=native.KINDS["mean"], x=op.sums, y=self._view(step.mean), kernel=1, stride=1, factor=factor
        )
        return [op, mean]

    def _window(self, op: native.Op, step: Conv | Depthwise) -> None:
        leaf = step.leaf
        op.kernel, op.stride, op.dilation = leaf.kernel, leaf.stride, leaf.dilation
        (op.top, _), (op.left, _) = sides(leaf, op.x.h, op.x.w)
        if step.bias is not None:
            op.bias = self._packed.address(step.name, "bias", functools.partial(_padded, step.bias))

    def _before(
        self, op: native.Op, name: str, affine: Affine | None, runs: tuple[tuple[int, int, int], ...]
    ) -> None:
        if runs:
            op.runs = self._packed.address(name, "runs", lambda: np.array(runs, np.int64))
            op.n_runs = len(runs)
        if affine is None:
            return
        op.before = native.ACTIVATIONS[affine.activation]
        if affine.scale is not None:
            op.scale = self._packed.address(name, "scale", lambda: affine.scale)
            op.offset = self._packed.address(name, "offset", lambda: affine.offset)

    def _view(self, view: View | None) -> native.View:
        if view is None:
            return native.View()
        shape = self._plan.maps[view.map]
        if view.map == self._plan.input:  # as it came: channels apart
            plane = shape.height * shape.width
            at, pixel, channel, space = view.first * plane, 1, plane, "input"
        else:
            place = self._arena.at[view.map]
            at, pixel, channel, space = view.first, shape.channels, 1, "output"
            if place is not None:
                at, space = place + view.first, "arena"
        return native.View(at, shape.height, shape.width, view.channels, pixel, channel, native.SPACES[space])
