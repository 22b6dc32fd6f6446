"""Blocks and operations by the name that the literature has for them."""

from __future__ import annotations

from smidgen.draw.blocks import Block, Kind
from smidgen.draw.patterns import Body, Operation, main_branch, name_body, steps, stride, word
from smidgen.draw.terms import leaf_name, sentence, stride_of
from smidgen.graph.cost import cost, is_identity, output_shape
from smidgen.graph.nodes import (
    Activation,
    BatchNorm,
    Chain,
    Combinator,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Leaf,
    Linear,
    Node,
    Pool,
    Shift,
    Sum,
)
from smidgen.spec import Shape

__all__ = ["norm_block", "recognise"]

_MOST_NAMED = 3  # operations that an unknown block's name lists before it counts them instead


def recognise(node: Node, x: Shape, path: str) -> Block | None:
    """The block that `node` is as a whole; None for a chain of several."""
    branch = steps(node)
    if len(branch) == 1:
        return _single(branch[0], node, x, path)
    body = name_body(branch, residual=False)
    return None if body is None else _block(body, node, x, path, stride(branch))


def _block(body: Body, node: Node, x: Shape, path: str, step: int, skip: str = "") -> Block:
    total, out = cost(node, x), output_shape(node, x)
    return Block(
        path,
        body.name,
        body.kind,
        x,
        out,
        total.params,
        total.macs,
        channels=not body.widths,
        stride=step,
        details=body.details,
        skip=skip,
    )


def _single(step: Operation, node: Node, x: Shape, path: str) -> Block:
    """Block of one operation with what follows it."""
    op = step.op
    if isinstance(op, Chain | Sum | Gate | Concat):
        return _merging(op, node, x, path)
    if isinstance(op, BatchNorm | Activation | Dropout | Flatten):
        return norm_block(step, x, path)
    total, out = cost(node, x), output_shape(node, x)
    details = tuple(
        leaf_name(leaf) for leaf in step.after if not isinstance(leaf, Flatten) and leaf != Dropout(0.0)
    )
    return Block(
        path,
        sentence(leaf_name(op)),
        _kind(op),
        x,
        out,
        total.params,
        total.macs,
        channels=isinstance(op, Conv | Linear),
        stride=stride_of(op),
        details=details,
    )


def norm_block(step: Operation, x: Shape, path: str) -> Block:
    """Block of norms and activations that follow no convolution."""
    leaves = tuple(leaf for leaf in (step.op, *step.after) if not isinstance(leaf, Combinator))
    total = cost(Chain(tuple((str(index), leaf) for index, leaf in enumerate(leaves))), x)
    name = " · ".join(leaf_name(leaf) for leaf in leaves)
    return Block(path, sentence(name), "conv", x, x, total.params, total.macs, channels=False)


def _kind(op: Leaf) -> Kind:
    if isinstance(op, Shift):
        return "shift"
    if isinstance(op, Pool | GlobalPool):
        return "pool"
    return "head" if isinstance(op, Linear) else "conv"


def _merging(op: Chain | Sum | Gate | Concat, node: Node, x: Shape, path: str) -> Block:
    """Block of a branching node."""
    match op:
        case Sum() | Concat():
            main, others = main_branch(op)
            branch = steps(main)
            body = name_body(branch, residual=isinstance(op, Sum))
            skip = ", ".join(_beside(other, isinstance(op, Concat)) for other in others)
            if body is None:
                body = Body(_listed(branch, "Residual" if isinstance(op, Sum) else "Concat"))
            return _block(body, node, x, path, stride(branch), skip)
        case Gate(children=children):
            inner = steps(Chain(children))
            named = "Squeeze-excite" if word(inner) == "Gpp" else _listed(inner, "Gate")
            return _block(Body(named), node, x, path, 1)
        case Chain():
            return _block(Body("identity"), node, x, path, 1)


def _beside(branch: Node, concatenated: bool) -> str:
    """What a branch next to the main one is called."""
    prefix = "concat " if concatenated else ""
    if is_identity(branch):
        return "concat input" if concatenated else "skip"
    found = [step.op for step in steps(branch)]
    leaf = found[0]
    if len(found) > 1 or isinstance(leaf, Combinator):
        return prefix + "branch"
    name = leaf_name(leaf)
    return prefix + (name.replace("conv", "shortcut") if not concatenated else name)


def _listed(branch: list[Operation], prefix: str) -> str:
    """Name of an unknown block: its operations, or how many where they are many."""
    names = [_step_name(step) for step in branch]
    if len(names) > _MOST_NAMED:
        return f"{prefix} of {len(names)} operations"
    return f"{prefix}: {', '.join(names)}" if names else prefix


def _step_name(step: Operation) -> str:
    return type(step.op).__name__.lower() if isinstance(step.op, Combinator) else leaf_name(step.op)
