"""Random valid trees for hypothesis, and their shapes by rules of their own."""

from __future__ import annotations

from typing import get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from smidgen.graph import (
    Activation,
    ActivationKind,
    BatchNorm,
    Chain,
    Children,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Shift,
    Sum,
    pad,
)
from smidgen.graph.nodes import PoolKind
from smidgen.spec import Shape

__all__ = ["cases", "classifiers", "examples", "maps", "pools", "same_size_trees", "trees"]

_NAMES = st.sampled_from(["", "a", "b1", "block", "0", "7", "very_long_name_of_a_child"])


def examples(count: int) -> settings:
    """So many random trees, however slowly a busy machine draws them."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def maps(draw: st.DrawFn, largest: int = 9) -> Shape:
    sides = st.integers(1, largest)
    return Shape(draw(st.integers(1, 6)), draw(sides), draw(sides))


@st.composite
def _same_size_leaves(draw: st.DrawFn, x: Shape) -> tuple[Node, Shape]:
    kind = draw(st.sampled_from(["conv", "norm", "activation", "dropout", "shift", "pool"]))
    match kind:
        case "conv":
            c_out, kernel = draw(st.integers(1, 6)), draw(st.sampled_from([1, 3]))
            return _conv(draw, x.channels, c_out, kernel), x._replace(channels=c_out)
        case "norm":
            return BatchNorm(x.channels, eps=draw(st.sampled_from([1e-5, 1e-3]))), x
        case "activation":
            return Activation(draw(st.sampled_from(get_args(ActivationKind)))), x
        case "dropout":
            return Dropout(draw(st.floats(0, 0.999))), x
        case "shift":
            first = draw(st.integers(1, x.channels))
            offsets = st.integers(-2, 2)
            runs = [(first, draw(offsets), draw(offsets))]
            if first < x.channels:
                runs.append((x.channels - first, draw(offsets), draw(offsets)))
            return Shift(tuple(runs)), x
        case _:
            return Pool(draw(st.sampled_from(["max", "avg"])), 3, 1, padding=1), x


def _conv(draw: st.DrawFn, c_in: int, c_out: int, kernel: int) -> Conv:
    dilation = draw(st.integers(1, 2))
    groups = c_in if c_out == c_in and draw(st.booleans()) else 1
    padding = draw(st.sampled_from([pad(dilation * (kernel // 2)), "same"]))
    return Conv(
        c_in,
        c_out,
        kernel,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


@st.composite
def same_size_trees(draw: st.DrawFn, x: Shape, depth: int = 3) -> tuple[Node, Shape]:
    """A tree that keeps the size of the map, but not always its channels."""
    kinds = ["leaf"] if depth == 0 else ["leaf", "chain", "chain", "sum", "gate", "concat"]
    match draw(st.sampled_from(kinds)):
        case "leaf":
            return draw(_same_size_leaves(x))
        case "chain":
            steps: list[Node] = []
            for _ in range(draw(st.integers(0, 4))):
                step, x = draw(same_size_trees(x, depth - 1))
                steps.append(step)
            return Chain(_named(draw, steps)), x
        case "sum":
            return draw(_sums(x, depth))
        case "gate":
            return Gate(_named(draw, draw(_factors(x, depth)))), x
        case _:
            branches = [draw(same_size_trees(x, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
            total = sum(out.channels for _, out in branches)
            return Concat(_named(draw, [node for node, _ in branches])), x._replace(channels=total)


@st.composite
def _sums(draw: st.DrawFn, x: Shape, depth: int) -> tuple[Node, Shape]:
    c_out = draw(st.sampled_from([x.channels, 1, 4]))
    branches: list[Node] = []
    for _ in range(draw(st.integers(1, 3))):
        if c_out == x.channels and draw(st.booleans()):
            branches.append(Chain())
            continue
        node, out = draw(same_size_trees(x, depth - 1))
        steps = [node] if out.channels == c_out else [node, Conv(out.channels, c_out)]
        branches.append(Chain(_named(draw, steps)))
    drop_path = draw(st.sampled_from([0.0, 0.2])) if Chain() in branches else 0.0
    return Sum(_named(draw, branches), drop_path), x._replace(channels=c_out)


@st.composite
def _factors(draw: st.DrawFn, x: Shape, depth: int) -> list[Node]:
    node, out = draw(same_size_trees(x, depth - 1))
    steps: list[Node] = [GlobalPool()] if draw(st.booleans()) else []
    steps.append(Conv(x.channels, x.channels))
    if out == x:
        return [node] if draw(st.booleans()) else [node, *steps]
    return [*steps, Activation("sigmoid")]


@st.composite
def trees(draw: st.DrawFn, x: Shape) -> tuple[Node, Shape]:
    """Any tree on a map: same-size parts with strides between them."""
    steps: list[Node] = []
    for _ in range(draw(st.integers(1, 3))):
        part, x = draw(same_size_trees(x))
        steps.append(part)
        if draw(st.booleans()):
            c_out = draw(st.integers(1, 5))
            steps.append(Conv(x.channels, c_out, 3, 2, pad(1)))
            x = Shape(c_out, (x.height + 1) // 2, (x.width + 1) // 2)
    return Chain(_named(draw, steps)), x


@st.composite
def classifiers(draw: st.DrawFn, x: Shape) -> tuple[Node, Shape]:
    """A tree that ends in flat features."""
    tree, out = draw(trees(x))
    steps: list[Node] = [tree, *([GlobalPool()] if draw(st.booleans()) else []), Flatten()]
    features = out.channels if GlobalPool() in steps else out.numel
    classes = draw(st.integers(1, 9))
    steps += [Dropout(0.5), Linear(features, classes, bias=draw(st.booleans()))]
    return Chain(_named(draw, steps)), Shape(classes, flat=True)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Node, Shape]:
    """A classifier, and the map that it takes."""
    shape = draw(maps())
    return draw(classifiers(shape))[0], shape


@st.composite
def pools(draw: st.DrawFn) -> tuple[Node, Shape]:
    """A pool of any window that torch takes, flattened, and the map that it takes."""
    shape = Shape(2, draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    kernel = draw(st.integers(2, 3))
    kind = draw(st.sampled_from(get_args(PoolKind)))
    stride, padding = draw(st.integers(1, 4)), draw(st.integers(0, 1))
    pool = Pool(kind, kernel, stride, padding, draw(st.booleans()), draw(st.booleans()))
    return Chain((("pool", pool), ("flat", Flatten()))), shape


def _named(draw: st.DrawFn, nodes: list[Node]) -> Children:
    """Children with names that are unique after hoisting; some combinators go without."""
    children: list[tuple[str, Node]] = []
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        hoisted = _hoisted(node)
        name = draw(_NAMES)
        if name == "" and hoisted is not None and not hoisted & taken:
            children.append(("", node))
            taken |= hoisted
            continue
        while name == "" or name in taken:
            name = f"{name}x{index}"
        children.append((name, node))
        taken.add(name)
    return tuple(children)


def _hoisted(node: Node) -> set[str] | None:
    """Names that an unnamed combinator hands to its parent; None for a leaf."""
    if not isinstance(node, Chain | Sum | Gate | Concat):
        return None
    names: set[str] = set()
    for name, child in node.children:
        names |= {name} if name else _hoisted(child) or set()
    return names
