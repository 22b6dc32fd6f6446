"""Pixels that no strided convolution reads are not made, and nobody notices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smidgen
from random_trees import examples
from smidgen.engine.passes.needed import only_what_is_read
from smidgen.families.shiftnet import Layout, shift_runs
from smidgen.graph import Activation, BatchNorm, Chain, Concat, Flatten, GlobalPool, Node, Shift
from smidgen.graph import Conv as ConvLeaf
from smidgen.program import Program, draw_weights, interpret, lower
from smidgen.spec import Shape


def strided(channels: int, stride: int, kernel: int = 3, layout: Layout = "contiguous") -> Node:
    """1x1, BatchNorm, ReLU, shift, strided 1x1, as ShiftNet's blocks have it, and a mean."""
    shift = Shift(shift_runs(channels, kernel, 1, layout))
    parts: tuple[Node, ...] = (
        ConvLeaf(5, channels),
        BatchNorm(channels),
        Activation("relu"),
        shift,
        ConvLeaf(channels, 7, stride=stride, bias=True),
        GlobalPool(),
        Flatten(),
    )
    return Chain(tuple((str(number), part) for number, part in enumerate(parts)))


def program_of(tree: Node, shape: Shape) -> Program:
    network = smidgen.Network("a", "a", tree, shape, smidgen.Preprocess(resize=shape.height))
    return lower(network, draw_weights(network))


@examples(50)
@given(
    st.integers(9, 40),
    st.sampled_from([2, 3]),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["contiguous", "interleaved"]),
)
def test_the_answers_are_the_same(channels: int, stride: int, high: int, wide: int, layout: Layout) -> None:
    shape = Shape(5, high, wide)
    program = program_of(strided(channels, stride, layout=layout), shape)
    less = only_what_is_read(program)
    x = np.random.default_rng(0).normal(size=(2, *shape[:3])).astype(np.float32)
    np.testing.assert_allclose(interpret(less, x), interpret(program, x), rtol=1e-5, atol=1e-5)
    assert (less.macs < program.macs) == (high % stride == 0 and wide % stride == 0)


def test_of_the_first_convolution_a_quarter_is_done() -> None:
    channels, side = 27, 8
    program = only_what_is_read(program_of(strided(channels, 2), Shape(5, side, side)))
    assert program.macs == side**2 // 4 * (5 * channels + channels * 7)


@pytest.mark.parametrize(("size", "fewer"), [(64, True), (65, False)])
def test_shiftnet_does_less_where_its_maps_are_even(size: int, fewer: bool) -> None:
    network = smidgen.network("shiftnet_c", resolution=size)
    program = lower(network, draw_weights(network))
    assert (only_what_is_read(program).macs < program.macs) == fewer


def named(*parts: Node) -> tuple[tuple[str, Node], ...]:
    return tuple((f"part{number}", part) for number, part in enumerate(parts))


def looking(channels: int = 27) -> Node:
    """A shift and a strided 1x1."""
    return Chain(named(Shift(shift_runs(channels, 3)), ConvLeaf(channels, 7, stride=2)))


@pytest.mark.parametrize(
    "first",
    [
        (ConvLeaf(5, 27), Concat(named(looking(), looking()))),  # two read it
        (Concat(named(ConvLeaf(5, 20), ConvLeaf(5, 7))), looking()),  # two write it
    ],
)
def test_a_map_of_several_readers_or_writers_is_made_whole(first: tuple[Node, ...]) -> None:
    program = program_of(Chain(named(*first, GlobalPool(), Flatten())), Shape(5, 8, 8))
    assert only_what_is_read(program).steps == program.steps
    alone = program_of(Chain(named(ConvLeaf(5, 27), looking(), GlobalPool(), Flatten())), Shape(5, 8, 8))
    assert only_what_is_read(alone).steps != alone.steps
