"""The rules of a tree, for trees from code and from files alike."""

from __future__ import annotations

import re
from collections import Counter
from typing import assert_never

from smidgen.graph.cost import is_identity, output_shape
from smidgen.graph.layers import join
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
from smidgen.spec import Shape, TreeError

__all__ = ["RESERVED_NAMES", "validate"]

MAX_DEPTH = 64
MAX_NODES = 10_000  # over five times as many as the largest published network has
MAX_SIZE = 1 << 24  # of any single integer: channels, kernel, offset

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")

# Attributes of torch.nn.Module, and of the module that is built from a tree. A test holds the first
# part against the torch that is installed.
RESERVED_NAMES = frozenset(
    """add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory state_dict to to_empty train training type xpu zero_grad
    network new_layers node""".split()
)


def validate(tree: Node, x: Shape) -> Shape:
    """Check names, depth, integer ranges and shapes of `tree` on inputs of shape `x`.

    returns  shape of the output
    Raises   TreeError on a broken rule, ShapeError where shapes do not meet.
    """
    budget = [MAX_NODES]
    _check(tree, "tree", 0, budget)
    _names(tree, "tree")
    if min(x[:3]) < 1 or max(x[:3]) > MAX_SIZE:
        raise TreeError(f"an input of {x} is out of range")
    return output_shape(tree, x)


def _check(node: Node, path: str, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth > MAX_DEPTH:
        raise TreeError(f"the tree is deeper than {MAX_DEPTH} levels")
    if budget[0] < 0:
        raise TreeError(f"the tree has more than {MAX_NODES:,} nodes")
    if not isinstance(node, Combinator):
        _check_leaf(node, path)
        return
    for name, child in node.children:
        if name and not _NAME.fullmatch(name):
            raise TreeError(f"{path}: child name {name!r:.40} is not lower case letters, digits and _")
        if name in RESERVED_NAMES:
            raise TreeError(f"{path}: child name '{name}' is an attribute of torch.nn.Module")
        if not name and not isinstance(child, Combinator):
            raise TreeError(f"{path}: only a Chain, Sum, Gate or Concat may go without a name")
        _check(child, join(path, name), depth + 1, budget)
    _check_combinator(node, path)


def _check_combinator(node: Combinator, path: str) -> None:
    match node:
        case Chain():
            return
        case Sum(children=children, drop_path=drop_path):
            if not children:
                raise TreeError(f"{path}: a Sum without branches")
            _in_range(path, "drop_path", drop_path, 0, 0.999)
            if drop_path and not any(is_identity(child) for _, child in children):
                raise TreeError(f"{path}: drop_path needs an identity branch that stays")
        case Gate(children=children) | Concat(children=children):
            if not children:
                raise TreeError(f"{path}: a {type(node).__name__} without children")
        case _:
            assert_never(node)


def _check_leaf(leaf: Leaf, path: str) -> None:
    match leaf:
        case Conv():
            for field in ("c_in", "c_out", "kernel", "stride", "dilation", "groups"):
                _in_range(path, field, getattr(leaf, field), 1, MAX_SIZE)
            if leaf.padding != "same":
                for side in (*leaf.padding[0], *leaf.padding[1]):
                    _in_range(path, "padding", side, 0, MAX_SIZE)
            if leaf.c_in % leaf.groups or leaf.c_out % leaf.groups:
                raise TreeError(
                    f"{path}: {leaf.groups} groups do not divide {leaf.c_in} -> {leaf.c_out} channels"
                )
        case BatchNorm():
            _in_range(path, "channels", leaf.channels, 1, MAX_SIZE)
            _in_range(path, "eps", leaf.eps, 0, 1)
            _in_range(path, "momentum", leaf.momentum, 0, 1)
        case Dropout():
            _in_range(path, "p", leaf.p, 0, 0.999)
        case Shift():
            if not leaf.runs:
                raise TreeError(f"{path}: a Shift without runs")
            for count, dy, dx in leaf.runs:
                _in_range(path, "count", count, 1, MAX_SIZE)
                _in_range(path, "offset", dy, -MAX_SIZE, MAX_SIZE)
                _in_range(path, "offset", dx, -MAX_SIZE, MAX_SIZE)
        case Pool():
            _in_range(path, "kernel", leaf.kernel, 1, MAX_SIZE)
            _in_range(path, "stride", leaf.stride, 1, MAX_SIZE)
            _in_range(path, "padding", leaf.padding, 0, leaf.kernel // 2)
        case Linear():
            _in_range(path, "c_in", leaf.c_in, 1, MAX_SIZE)
            _in_range(path, "c_out", leaf.c_out, 1, MAX_SIZE)
        case Activation() | GlobalPool() | Flatten():
            return
        case _:
            assert_never(leaf)


def _in_range(path: str, field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also catches NaN
        raise TreeError(f"{path}: {field}={value} is outside {low}..{high}")


def _names(node: Node, path: str) -> list[str]:
    """Check that names are unique in every namespace; returns those that `node` hands to its parent."""
    if not isinstance(node, Combinator):
        return []
    names: list[str] = []
    for name, child in node.children:
        inner = _names(child, join(path, name))
        names += [name] if name else inner
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise TreeError(f"{path}: two children are called '{twice}'")
    return names
