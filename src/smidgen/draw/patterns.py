"""Which block of the literature a piece of a tree is: recognised by its operations, not by its names.

The operations along a branch are spelled as a word, one letter each, and the word is looked up:

    p  1x1 convolution      k  larger dense convolution      d  depthwise      o  grouped
    s  shift    g  gate    +  sum    c  concat    l  pool    G  global pool    f  linear
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from smidgen.draw.terms import is_depthwise, leaf_name, ratio, stride_of
from smidgen.graph.layers import leaves
from smidgen.graph.nodes import (
    Activation,
    BatchNorm,
    Chain,
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

__all__ = ["Body", "Finish", "Operation", "main_branch", "name_body", "steps", "stride", "word"]

# What belongs to the operation before it.
Finish = BatchNorm | Activation | Dropout | Flatten


class Operation(NamedTuple):
    """One operation along a branch and the norm and activation that follow it.

    A norm or activation that nothing precedes is a step of its own.
    """

    op: Node
    after: tuple[Leaf, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether the step ends in a norm and has no activation: the end of a bottleneck."""
        return any(isinstance(leaf, BatchNorm) for leaf in self.after) and not any(
            isinstance(leaf, Activation) for leaf in self.after
        )


class Body(NamedTuple):
    """Name of a block, and what else a reader should know of it.

    widths   whether the name already says how many channels come out
    """

    name: str
    details: tuple[str, ...] = ()
    kind: Literal["block", "shift"] = "block"
    widths: bool = False


def steps(node: Node) -> list[Operation]:
    """Operations of `node` in order, nested chains opened."""
    found: list[Operation] = []
    _collect(node, found)
    return found


def word(branch: list[Operation]) -> str:
    """Letters of the operations; norms and activations have none."""
    return "".join(_letter(step.op) for step in branch)


def stride(branch: list[Operation]) -> int:
    """Product of the strides along a branch."""
    product = 1
    for step in branch:
        if not isinstance(step.op, Chain | Sum | Gate | Concat):
            product *= stride_of(step.op)
    return product


def main_branch(node: Sum | Concat) -> tuple[Node, list[Node]]:
    """The branch with most operations, and the others in order."""
    branches = [child for _, child in node.children]
    sizes = [sum(1 for _ in leaves(branch)) for branch in branches]
    main = sizes.index(max(sizes))
    return branches[main], branches[:main] + branches[main + 1 :]


def name_body(branch: list[Operation], residual: bool) -> Body | None:
    """Name of the block that the operations make up; None where the literature has none."""
    ops = [step for step in branch if _letter(step.op)]
    match word(ops):
        case "pdp" if ops[1].linear:
            return Body(f"Depthwise block {_kernels(ops)}", (f"mid {_conv(ops[0]).c_out}",))
        case "pdgp" | "pdp" | "dgp" | "dp" if ops[-1].linear:
            return _mbconv(ops)
        case "kp" if ops[-1].linear:
            return Body(f"Fused-MBConv{_widening(ops)} {_kernels(ops)}")
        case "k" if residual:
            return Body(f"Fused-MBConv1 {_kernels(ops)}")
        case "pc":
            return _fire(ops)
        case "psp":
            return Body(f"CSC {_kernels(ops)}", (f"mid {_conv(ops[0]).c_out}",), "shift")
        case "spsp":
            return Body(f"SC² {_kernels(ops)}", (f"mid {_conv(ops[1]).c_out}",), "shift")
        case "kk" if residual:
            return Body(f"Basic block {_kernels(ops)}")
        case "pkp" if residual:
            return Body(f"Bottleneck {_kernels(ops)}")
        case _:
            return None


# ── the blocks ───────────────────────────────────────────────────────────────────────────────────


def _mbconv(ops: list[Operation]) -> Body:
    widening = _widening(ops) if len(word(ops).split("d")[0]) else "1"
    gated = any(isinstance(step.op, Gate) for step in ops)
    return Body(f"MBConv{widening} {_kernels(ops)}", ("SE",) if gated else ())


def _widening(ops: list[Operation]) -> str:
    first = _conv(ops[0])
    return ratio(first.c_out / first.c_in)


def _fire(ops: list[Operation]) -> Body | None:
    merge = ops[1].op
    assert isinstance(merge, Concat)
    branches = [steps(child) for _, child in merge.children]
    if any(word(branch) not in ("p", "k") for branch in branches):
        return None
    widths = "+".join(str(_conv(branch[0]).c_out) for branch in branches)
    return Body(f"Fire {_conv(ops[0]).c_out}→{widths}", widths=True)


def _conv(step: Operation) -> Conv:
    assert isinstance(step.op, Conv)
    return step.op


def _kernels(ops: list[Operation]) -> str:
    """Spatial windows along the branch, said once where they are alike."""
    windows = [
        leaf_name(step.op).split(" ")[0] for step in ops if isinstance(step.op, Conv) and step.op.kernel > 1
    ]
    windows += [leaf_name(step.op).removeprefix("shift ") for step in ops if isinstance(step.op, Shift)]
    return " ".join(dict.fromkeys(windows))


# ── spelling ─────────────────────────────────────────────────────────────────────────────────────


def _collect(node: Node, found: list[Operation]) -> None:
    match node:
        case Chain(children=children):
            for _, child in children:
                _collect(child, found)
        case BatchNorm() | Activation() | Dropout() | Flatten():
            if found:
                found[-1] = found[-1]._replace(after=(*found[-1].after, node))
            else:
                found.append(Operation(node))
        case _:
            found.append(Operation(node))


def _letter(op: Node) -> str:
    match op:
        case Conv(kernel=kernel, groups=groups):
            if groups > 1:
                return "d" if is_depthwise(op) else "o"
            return "p" if kernel == 1 else "k"
        case Shift():
            return "s"
        case Gate():
            return "g"
        case Sum():
            return "+"
        case Concat():
            return "c"
        case Pool():
            return "l"
        case GlobalPool():
            return "G"
        case Linear():
            return "f"
        case _:  # says nothing of the block's shape
            return ""
