"""The way of a convolution is decided once, and changes no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

import smidgen
from smidgen import Engine
from smidgen.engine.passes import for_engine
from smidgen.graph import Activation, Chain, Conv, Flatten, Gate, GlobalPool, Node, Sum
from smidgen.program import Conv as ConvStep
from smidgen.program import Depthwise, Ones, Pointwise, Program, draw_weights, interpret, lower
from smidgen.spec import Shape


def passed(name: str, resolution: int) -> Program:
    network = smidgen.network(name, resolution=resolution)
    return for_engine(lower(network, Ones(network)))


def ways(program: Program) -> Counter[str]:
    return Counter(step.way for step in program.steps if isinstance(step, ConvStep))


def named(parts: Iterable[Node]) -> tuple[tuple[str, Node], ...]:
    return tuple((f"part{number}", part) for number, part in enumerate(parts))


def test_deep_3x3_convolutions_on_large_maps_go_by_winograd() -> None:
    # Of 19 all but the stem, whose input has its channels apart, and two of stride 2.
    assert ways(passed("resnet20", 64))["winograd"] == 16
    # At 16 pixels the last six work on 4 x 4 and the five before them on 8 x 8, all too small.
    assert ways(passed("resnet20", 16))["winograd"] == 6


def gated(adds_input: bool) -> Node:
    """A 1x1 convolution behind a gate, on a small map, and the gate's input added or not."""
    gate = Gate(named((GlobalPool(), Conv(16, 16, bias=True), Activation("sigmoid"))))
    path: Node = Chain(named((gate, Conv(16, 16))))
    block = Sum(named((Chain(), path))) if adds_input else path
    return Chain(named((Conv(3, 16), block, GlobalPool(), Flatten())))


@pytest.mark.parametrize("adds_input", [True, False])
def test_a_gate_is_multiplied_into_an_input_that_nobody_needs_afterwards(adds_input: bool) -> None:
    shape = Shape(3, 4, 4)
    network = smidgen.Network("a", "a", gated(adds_input), shape, smidgen.Preprocess(resize=4))
    weights = draw_weights(network)
    program = for_engine(lower(network, weights))
    assert ("gate first" in ways(program)) != adds_input
    x = np.random.default_rng(0).standard_normal((2, *shape[:3]), np.float32)
    wanted = interpret(lower(network, weights), x)
    np.testing.assert_allclose(Engine((network, weights))(x), wanted, rtol=1e-4, atol=1e-5)


def test_in_efficientnet_depthwise_convolutions_expand_and_take_the_means() -> None:
    network = smidgen.network("efficientnet_b0")
    program = for_engine(lower(network, Ones(network)))
    depthwise = [step for step in program.steps if isinstance(step, Depthwise)]
    # Tan & Le 2019, Table 1: sixteen blocks, all with squeeze-excite, the first without an expansion
    assert sum(step.mean is not None for step in depthwise) == 16
    assert sum(step.first is not None for step in depthwise) == 15
    assert not any(isinstance(step, Pointwise) for step in program.steps)


def test_one_copy_of_the_input_serves_all_that_cannot_read_it() -> None:
    pools = [Chain(named((GlobalPool(), Conv(3, 3)))) for _ in range(2)]
    tree = Chain(named((Sum(named(pools)), Flatten())))
    network = smidgen.Network("a", "a", tree, Shape(3, 4, 4), smidgen.Preprocess(resize=4))
    plain = lower(network, Ones(network))
    program = for_engine(plain)
    assert len(program.steps) == len(plain.steps) + 1
    copying = program.steps[0]
    assert isinstance(copying, Pointwise)
    assert [step.x for step in program.steps if step.x.map == program.input] == [copying.x]
