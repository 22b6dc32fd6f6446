"""The rules of a tree: what is valid passes, and every broken rule is one line."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from random_trees import classifiers, examples, maps, trees
from smidgen import families
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Shift,
    Sum,
    cost,
    validate,
)
from smidgen.graph.validate import MAX_DEPTH, MAX_NODES, MAX_SIZE, RESERVED_NAMES
from smidgen.spec import Shape, ShapeError, TreeError

RELU = Activation("relu")
X = Shape(4, 8, 8)


@pytest.mark.parametrize("name", families.names())
def test_every_network_is_valid(name: str) -> None:
    net = families.network(name)
    validate(net.tree, net.input)


@examples(100)
@given(st.data())
def test_random_valid_trees_pass(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, _ = data.draw(st.one_of(trees(x), classifiers(x)))
    validate(tree, x)


@examples(100)
@given(st.data())
def test_on_other_channels_validate_refuses_exactly_what_cost_refuses(data: st.DataObject) -> None:
    tree, _ = data.draw(trees(data.draw(maps())))
    x = data.draw(maps())
    try:
        cost(tree, x)
    except ShapeError:
        with pytest.raises(ShapeError):
            validate(tree, x)
    else:
        validate(tree, x)


def in_chain(node: Node) -> Chain:
    return Chain((("features", Chain((("0", node),))),))


NAN = float("nan")


@pytest.mark.parametrize(
    "node",
    [
        Conv(4, 0),
        Conv(4, 4, 0),
        Conv(4, 4, 3, 0),
        Conv(4, 4, 3, dilation=0),
        Conv(4, 4, groups=0),
        Conv(4, 6, groups=4),
        Conv(4, 4, 3, padding=((-1, 1), (0, 0))),
        Conv(4, MAX_SIZE + 1),
        BatchNorm(0),
        BatchNorm(4, eps=NAN),
        BatchNorm(4, eps=-1e-9),
        BatchNorm(4, momentum=1.5),
        Dropout(NAN),
        Dropout(1.0),
        Dropout(-0.1),
        Shift(()),
        Shift(((0, 1, 1), (4, 0, 0))),
        Shift(((4, MAX_SIZE + 1, 0),)),
        Pool("max", 0, 1),
        Pool("max", 3, 0),
        Pool("max", 3, 1, padding=2),  # torch: at most half of the kernel
        Pool("max", 3, 1, padding=-1),
        Linear(0, 4),
        Sum(()),
        Sum((("", Chain()), ("a", RELU)), drop_path=NAN),
        Sum((("", Chain()), ("a", RELU)), drop_path=1.0),
        Sum((("a", RELU), ("b", RELU)), drop_path=0.2),  # nothing would be sure to stay
        Gate(()),
        Concat(()),
        Chain((("", RELU),)),  # a leaf without a name
        Chain((("Relu", RELU),)),
        Chain((("a.b", RELU),)),
        Chain((("a\nb", RELU),)),
        Chain((("a\n", RELU),)),
        Chain((("_modules", RELU),)),
        Chain((("é", RELU),)),
        Chain((("forward", RELU),)),
        Chain((("a", RELU), ("a", RELU))),
        Chain((("a", RELU), ("", Chain((("", Sum((("a", RELU),))),))))),  # the same after hoisting
    ],
)
def test_broken_rules_are_one_line_that_says_where(node: Node) -> None:
    with pytest.raises(TreeError, match=r"^tree\.features\.0") as caught:
        validate(in_chain(node), X)
    assert "\n" not in str(caught.value)


def test_the_same_name_in_two_namespaces_is_fine() -> None:
    inner = Chain((("a", RELU),))
    validate(Chain((("a", inner), ("b", inner))), X)


@pytest.mark.parametrize("x", [Shape(0, 8, 8), Shape(4, 0, 8), Shape(4, 8, MAX_SIZE + 1)])
def test_input_out_of_range_is_refused(x: Shape) -> None:
    with pytest.raises(TreeError, match="input"):
        validate(Chain(), x)


def nested(depth: int, innermost: Node = RELU) -> Node:
    node = innermost
    for _ in range(depth):
        node = Chain((("a", node),))
    return node


def test_depth_is_limited() -> None:
    validate(nested(MAX_DEPTH), X)
    with pytest.raises(TreeError, match="deeper"):
        validate(nested(MAX_DEPTH + 1), X)


@pytest.mark.parametrize("innermost", [RELU, Chain()])
def test_endless_depth_is_an_error_and_no_recursion(innermost: Node) -> None:
    deep = nested(3000, innermost)
    with pytest.raises(TreeError, match="deeper"):
        validate(Sum((("", Chain()), ("b", deep)), drop_path=0.1), X)


def test_number_of_nodes_is_limited() -> None:
    leaf = Dropout(0.0)
    with pytest.raises(TreeError, match="nodes"):
        validate(Chain(tuple((str(index), leaf) for index in range(MAX_NODES + 1))), X)


def test_small_trees_that_share_nodes_cannot_explode() -> None:
    node: Node = RELU
    for _ in range(40):  # 2^40 nodes when written out
        node = Chain((("a", node), ("b", node)))
    with pytest.raises(TreeError, match="nodes"):
        validate(node, X)


def test_many_children_with_one_duplicate_are_refused_at_once() -> None:
    children = tuple((str(index), RELU) for index in range(MAX_NODES - 10))
    with pytest.raises(TreeError, match="two children are called '7'"):
        validate(Chain((*children, ("7", RELU))), X)


def test_shapes_that_do_not_meet_are_refused() -> None:
    with pytest.raises(ShapeError):
        validate(in_chain(Conv(5, 4)), X)
    with pytest.raises(ShapeError):
        validate(Chain((("0", GlobalPool()), ("1", Linear(4, 2)))), X)


def test_reserved_names_hold_every_attribute_of_a_torch_module() -> None:
    attributes = {name for name in dir(torch.nn.Module()) if re.fullmatch("[a-z0-9][a-z0-9_]*", name)}
    assert attributes <= RESERVED_NAMES


@pytest.mark.parametrize("field", ["kernel", "stride", "dilation"])
def test_huge_but_allowed_numbers_are_a_shape_error_or_fine(field: str) -> None:
    leaf = replace(Conv(4, 4, 2), **{field: MAX_SIZE})  # type: ignore[arg-type]
    with contextlib.suppress(ShapeError):
        validate(in_chain(leaf), X)
