"""From the tree to the pieces of a data-flow diagram."""

from __future__ import annotations

from typing import Literal

from smidgen.draw.patterns import Finish, Operation, main_branch, steps
from smidgen.draw.pieces import APART, DETAIL, PAD, TITLE, Box, Diagram, Fork, Piece, label_width
from smidgen.draw.svg import text_width
from smidgen.draw.terms import is_depthwise, leaf_name, sentence, stride_of
from smidgen.graph.cost import cost, is_identity, output_shape
from smidgen.graph.nodes import Chain, Combinator, Concat, Conv, Dropout, Gate, Linear, Node, Shift, Sum
from smidgen.spec import Shape

__all__ = ["diagram"]


def diagram(node: Node, x: Shape) -> Diagram:
    """Diagram of `node` on input shape `x`."""
    pieces: list[Piece] = []
    labels: list[str] = []
    branch = _spread(steps(node))
    width = max((_natural_width(step) for step in branch if not isinstance(step.op, Combinator)), default=0)
    for step in branch:
        pieces.append(_one(step, x, max(width, 120.0)))
        x = output_shape(_after(step), output_shape(step.op, x))
        labels.append(str(x))
    return Diagram(tuple(pieces), tuple(labels))


def _spread(branch: list[Operation]) -> list[Operation]:
    """Norms and activations stay in the box of a convolution or linear layer, else get their own."""
    spread: list[Operation] = []
    for step in branch:
        after = tuple(leaf for leaf in step.after if leaf != Dropout(0.0))
        if isinstance(step.op, Conv | Linear | Finish):
            spread.append(Operation(step.op, after))
        else:
            spread.append(Operation(step.op))
            spread += [Operation(after[0], after[1:])] if after else []
    return [step for step in spread if step.op != Dropout(0.0)]


def _after(step: Operation) -> Chain:
    return Chain(tuple((str(index), leaf) for index, leaf in enumerate(step.after)))


def _one(step: Operation, x: Shape, width: float) -> Piece:
    match step.op:
        case Sum() as op:
            main, others = main_branch(op)
            return _beside("sum", [main, *others], x)
        case Gate(children=children):
            return _beside("gate", [Chain(), Chain(children)], x)
        case Concat(children=children):
            return _around([child for _, child in children], x)
        case _:
            return _box(step, x, width)


def _beside(kind: Literal["sum", "gate"], branches: list[Node], x: Shape) -> Fork:
    """Fork whose first branch goes straight on, the others to its right."""
    runs = [diagram(branch, x) for branch in branches]
    labels = _ends(branches, x)
    offsets = [0.0]
    edge = max(runs[0].right, label_width(labels[0]))
    for run, label in zip(runs[1:], labels[1:], strict=True):
        offsets.append(edge + APART + run.left)
        edge = offsets[-1] + max(run.right, label_width(label))
    return Fork(kind, tuple(runs), labels, tuple(offsets))


def _around(branches: list[Node], x: Shape) -> Fork:
    """Fork whose branches lie to both sides of the wire."""
    runs = [diagram(branch, x) for branch in branches]
    labels = _ends(branches, x)
    places = [0.0]
    for index in range(1, len(runs)):
        before = max(runs[index - 1].right, label_width(labels[index - 1]))
        places.append(places[-1] + before + APART + runs[index].left)
    middle = (places[0] + places[-1]) / 2
    return Fork("concat", tuple(runs), labels, tuple(place - middle for place in places))


def _ends(branches: list[Node], x: Shape) -> tuple[str, ...]:
    return tuple("" if is_identity(branch) else str(output_shape(branch, x)) for branch in branches)


# ── boxes ─────────────────────────────────────────────────────────────────────────


def _box(step: Operation, x: Shape, width: float) -> Box:
    total = cost(Chain((("0", step.op), ("1", _after(step)))), x)
    tooltip = f"{total.params:,} parameters, {total.macs:,} MACs"
    return Box(_title(step), _details(step), _paint(step.op), tooltip, width)


def _title(step: Operation) -> str:
    assert not isinstance(step.op, Combinator)
    if isinstance(step.op, Finish):
        return sentence(" · ".join(leaf_name(leaf) for leaf in (step.op, *step.after)))
    title = sentence(leaf_name(step.op))
    if stride_of(step.op) > 1:
        title += f" /{stride_of(step.op)}"
    return f"{title}, {step.op.c_out}" if isinstance(step.op, Conv | Linear) else title


def _details(step: Operation) -> str:
    if isinstance(step.op, Finish):
        return ""
    details = [leaf_name(leaf) for leaf in step.after]
    if isinstance(step.op, Shift):
        directions = len({(dy, dx) for _, dy, dx in step.op.runs})
        details.insert(0, f"{directions} directions, 0 parameters")
    return " · ".join(details)


def _paint(op: Node) -> str:
    if isinstance(op, Conv):
        return "block" if is_depthwise(op) else "conv"
    if isinstance(op, Shift):
        return "shift"
    return "head" if isinstance(op, Linear) else "pool"


def _natural_width(step: Operation) -> float:
    title = text_width(_title(step), TITLE, bold=True)
    return max(title, text_width(_details(step), DETAIL)) + 2 * PAD
