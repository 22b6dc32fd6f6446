"""Nodes are values: frozen, equal by content, in closed unions."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from smidgen import graph
from smidgen.graph import Activation, Chain, Conv, Node, Sum, nodes, pad


@pytest.mark.parametrize("cls", get_args(Node))
def test_every_node_is_a_frozen_dataclass_with_slots(cls: type) -> None:
    assert dataclasses.is_dataclass(cls)
    assert "__slots__" in vars(cls)
    field = next(iter(dataclasses.fields(cls)), None)
    if field is not None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(cls.__new__(cls), field.name, 1)


def test_union_of_nodes_is_leaves_and_combinators() -> None:
    assert set(get_args(Node)) == {*get_args(nodes.Leaf), *get_args(nodes.Combinator)}
    assert len(get_args(nodes.Leaf)) == 9
    assert len(get_args(nodes.Combinator)) == 4


def test_equal_trees_are_equal_and_hash_alike() -> None:
    def tree(width: int) -> Node:
        return Sum((("", Chain()), ("block", Chain((("0", Conv(width, width)), ("1", Activation("silu")))))))

    assert tree(8) == tree(8)
    assert hash(tree(8)) == hash(tree(8))
    assert tree(8) != tree(9)


def test_pad_is_the_same_on_four_sides() -> None:
    assert pad(2) == ((2, 2), (2, 2))


def test_convolution_has_no_bias_unless_asked() -> None:
    assert Conv(3, 4) == Conv(3, 4, 1, 1, ((0, 0), (0, 0)), 1, 1, False)


def test_graph_exports_every_node() -> None:
    assert set(nodes.__all__) - {"PoolKind"} <= set(graph.__all__)
    for name in graph.__all__:
        assert hasattr(graph, name)
