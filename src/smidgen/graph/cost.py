"""Exact cost of a tree in one pass: parameters, multiply-adds and peak activation memory.

Peak memory follows one stated discipline (batch 1, fp32): every leaf writes a new buffer, except that
BatchNorm, Activation, Dropout and Flatten overwrite their input where nobody else still needs it, and a
Gate multiplies into it; branches of a Concat write straight into its result, which comes alive with the
first write; a Sum adds into the result of its first branch that computes, identities last; a buffer dies
after its last reader.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from smidgen.graph.leaves import leaf_cost, works_in_place
from smidgen.graph.nodes import Chain, Children, Combinator, Concat, Gate, Leaf, Node, Sum
from smidgen.spec import Cost, Shape, ShapeError

__all__ = ["cost", "is_identity", "output_shape"]

_FLOAT_BYTES = 4


def cost(tree: Node, x: Shape) -> Cost:
    """Cost of `tree` on one sample of shape `x`.

    Raises   ShapeError where a node cannot take the shape that reaches it.
    """
    total = _Pass().visit(tree, x, keep=False, room=None)
    return Cost(total.params, total.buffers, total.macs, total.elementwise, total.peak)


def output_shape(tree: Node, x: Shape) -> Shape:
    """Shape that `tree` makes of one sample of shape `x`; errors as `cost`."""
    return _Pass().visit(tree, x, keep=False, room=None).out


def is_identity(node: Node) -> bool:
    """Whether the node hands its input on untouched."""
    if isinstance(node, Chain):
        return all(is_identity(child) for _, child in node.children)
    return isinstance(node, Sum) and len(node.children) == 1 and is_identity(node.children[0][1])


class _Total(NamedTuple):
    """Sum over a subtree; `peak` counts every byte alive while it runs, its input included."""

    out: Shape
    params: int
    buffers: int
    macs: int
    elementwise: int
    peak: int


def _total(out: Shape, parts: list[_Total], peak: int, elementwise: int = 0) -> _Total:
    """A subtree made of `parts`, with elementwise operations of its own."""
    params = buffers = macs = 0
    for part in parts:
        params += part.params
        buffers += part.buffers
        macs += part.macs
        elementwise += part.elementwise
    return _Total(out, params, buffers, macs, elementwise, peak)


def _bytes(shape: Shape) -> int:
    return _FLOAT_BYTES * shape.channels * shape.height * shape.width


class _Pass:
    """One costing; equal subtrees that are one object (the repeats of a stage) are visited once.

    keep   the input must survive, because somebody outside still reads it
    room   bytes that come alive when the output is first written: those of the output itself (None),
           or those of the Concat result that it is a slice of (0 once that is alive)
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, Shape, bool, int | None], _Total] = {}

    def visit(self, node: Node, x: Shape, keep: bool, room: int | None) -> _Total:
        if not isinstance(node, Combinator):
            return self._leaf(node, x, keep, room)
        key = (id(node), x, keep, room)
        total = self._seen.get(key)
        if total is None:
            total = self._seen[key] = self._combine(node, x, keep, room)
        return total

    def _combine(self, node: Combinator, x: Shape, keep: bool, room: int | None) -> _Total:
        match node:
            case Chain():
                return self._chain(node.children, x, keep, room)
            case Sum():
                return self._sum(node, x, keep, room)
            case Gate():
                return self._gate(node, x, keep, room)
            case Concat():
                return self._concat(node, x, keep, room)
            case _:
                assert_never(node)

    def _leaf(self, leaf: Leaf, x: Shape, keep: bool, room: int | None) -> _Total:
        out, params, buffers, macs, elementwise = leaf_cost(leaf, x)
        peak = _bytes(x)
        if keep or room is not None or not works_in_place(leaf):
            peak += _bytes(out) if room is None else room
        return _Total(out, params, buffers, macs, elementwise, peak)

    def _chain(self, children: Children, x: Shape, keep: bool, room: int | None) -> _Total:
        steps = [child for _, child in children if not is_identity(child)]
        if not steps:
            return _total(x, [], _bytes(x) + (room or 0))  # a slice of a Concat is a copy
        writer = self._last_writer(steps) if room is not None else 0
        parts: list[_Total] = []
        peak = held = 0
        for index, step in enumerate(steps):
            first = index == 0
            part = self.visit(step, x, keep and first, room if index == writer else None)
            alive = held + part.peak
            if index > writer and room is not None:
                alive += room - _bytes(x)  # the input of an in-place step lies in the caller's room
            peak = max(peak, alive)
            parts.append(part)
            if first and keep:
                held = _bytes(x)
            x = part.out
        return _total(x, parts, peak)

    def _last_writer(self, steps: list[Node]) -> int:
        """Index of the last step that writes a buffer of its own; those after it work in place."""
        return next((i for i in range(len(steps) - 1, 0, -1) if not _in_place(steps[i])), 0)

    def _sum(self, node: Sum, x: Shape, keep: bool, room: int | None) -> _Total:
        branches = [child for _, child in node.children if not is_identity(child)]
        identities = len(node.children) - len(branches)
        if not branches:  # x + x, in the place of x where nobody else needs it
            apart = room if room is not None else keep * _bytes(x)
            return _total(x, [], _bytes(x) + apart, (identities - 1) * x.numel)
        parts: list[_Total] = []
        peak = held = 0
        for index, branch in enumerate(branches):
            needed = keep or identities > 0 or index + 1 < len(branches)
            part = self.visit(branch, x, needed, room if index == 0 else None)
            peak = max(peak, held + part.peak)
            if index == 0:
                held = _bytes(part.out) if room is None else room
            parts.append(part)
        shapes = {part.out for part in parts} | ({x} if identities else set())
        if len(shapes) != 1:
            found = " and ".join(sorted(str(shape) for shape in shapes))
            raise ShapeError(f"a Sum needs branches of one shape, not {found}")
        (out,) = shapes
        return _total(out, parts, peak, (len(node.children) - 1) * out.numel)

    def _gate(self, node: Gate, x: Shape, keep: bool, room: int | None) -> _Total:
        factor = self._chain(node.children, x, keep=True, room=None)
        fits = factor.out == x or (factor.out == Shape(x.channels) and not x.flat)
        if not fits:
            raise ShapeError(f"a Gate on {x} needs {x.channels} factors or a map like it, not {factor.out}")
        peak = _bytes(x)
        if not all(is_identity(child) for _, child in node.children):
            peak += _bytes(factor.out)
        if room is not None:
            peak += room
        elif keep:
            peak += _bytes(x)
        return _total(x, [factor], max(peak, factor.peak), x.numel)

    def _concat(self, node: Concat, x: Shape, keep: bool, room: int | None) -> _Total:
        outs = [self.visit(child, x, keep=True, room=0).out for _, child in node.children]
        if len({out[1:] for out in outs}) != 1:
            raise ShapeError(f"a Concat needs maps of one size, not {' and '.join(map(str, outs))}")
        result = Shape(sum(out.channels for out in outs), *outs[0][1:])
        writing = _bytes(result) if room is None else room
        parts: list[_Total] = []
        peak = held = 0
        for index, (_, branch) in enumerate(node.children):
            needed = keep or index + 1 < len(node.children)
            part = self.visit(branch, x, needed, writing if index == 0 else 0)
            peak = max(peak, held + part.peak)
            held = writing
            parts.append(part)
        return _total(result, parts, peak)


def _in_place(node: Node) -> bool:
    """Whether the node can leave its result in its input's buffer."""
    match node:
        case Chain(children=children):
            return all(_in_place(child) for _, child in children)
        case Sum(children=((_, only),)):
            return _in_place(only)
        case Sum(children=children):
            return all(is_identity(child) for _, child in children)
        case Gate():
            return True
        case Concat():
            return False
        case _:
            return works_in_place(node)
