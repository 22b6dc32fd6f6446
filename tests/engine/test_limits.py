"""What only an attack or a mistake asks for is refused in one line that names the layer, before memory is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from smidgen import Engine
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Conv,
    Flatten,
    GlobalPool,
    Network,
    Node,
    Pool,
    Preprocess,
    Shift,
    Sum,
    pad,
    tensors,
)
from smidgen.graph.validate import MAX_NODES
from smidgen.modelfile import ModelFile
from smidgen.program import interpret, lower
from smidgen.spec import ModelFileError, Shape, ShapeError

END = (("pool", GlobalPool()), ("flatten", Flatten()))


def file(*nodes: tuple[str, Node], shape: Shape = Shape(2, 6, 6)) -> ModelFile:
    preprocess = Preprocess(8, mean=(0.5,) * shape.channels, std=(0.5,) * shape.channels)
    network = Network("odd", "test", Chain((*nodes, *END)), shape, preprocess)
    draw = np.random.default_rng(0)
    arrays = {
        tensor.name: draw.uniform(0.5, 1.5, tensor.shape).astype(np.float32) if tensor.shape else np.array(0)
        for tensor in tensors(network.tree)
    }
    return ModelFile(network, arrays)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (
            Conv(2, 2, 3, dilation=1 << 22, padding="same"),
            "wide: a window of 8,388,609 pixels; at most 4,096",
        ),
        (Pool("max", 1 << 24, 1, 1 << 23), "wide: a window of 16,777,216 pixels"),
        (Conv(2, 2, padding=pad(1 << 20)), "wide: the padding makes too large a map of 2x6x6"),
        (Conv(2, 1 << 13, padding=pad(400)), "wide makes a map of 8192x806x806 from 2x6x6: too large"),
        (BatchNorm(2, eps=0.0), "wide: statistics that make no numbers; its weights are damaged"),
    ],
)
def test_sizes_beyond_the_kernels_are_refused_with_the_layer(node: Node, reason: str) -> None:
    model = file(("wide", node))
    if isinstance(node, BatchNorm):
        model = ModelFile(model.network, {name: 0 * array for name, array in model.tensors.items()})
    with pytest.raises(ModelFileError, match=reason) as caught:
        Engine(model)
    assert str(caught.value).startswith("odd: ")
    assert str(caught.value).isprintable()


def test_groups_that_fill_the_memory_are_refused() -> None:
    channels = 1 << 15
    nodes = ("one", Conv(1, channels)), ("wide", Conv(channels, channels, groups=channels // 2))
    with pytest.raises(ModelFileError, match=r"wide: 16,384 groups of 32,768 channels; done as one"):
        Engine(file(*nodes, shape=Shape(1, 2, 2)))


def test_work_without_end_is_refused_for_the_network_and_for_a_call() -> None:
    pools = [(f"pool{number}", Pool("avg", 4001, 1, 2000)) for number in range(4)]
    engine = Engine(file(*pools))
    with pytest.raises(ShapeError, match=r"one picture of 2x1000x1000 takes more than 1e\+14 operations"):
        engine(np.zeros((1, 2, 1000, 1000), np.float32))
    with pytest.raises(ModelFileError, match=r"odd: one picture of 2x1000x1000 takes more than"):
        Engine(file(*pools, shape=Shape(2, 1000, 1000)))


@pytest.mark.parametrize(
    "node",
    [
        Conv(2, 3, padding=pad(1)),
        Conv(2, 3, stride=2, padding=((0, 3), (2, 0))),
        Conv(2, 3, 33, padding="same"),
        Conv(2, 3, 40, dilation=3, padding="same", stride=7),
        Conv(2, 2, 33, padding="same", groups=2),
        Pool("avg", 40, 3, 20),
    ],
)
def test_odd_kernels_and_padding_are_answered_rightly(node: Node) -> None:
    model = file(("odd", node), ("act", Activation("relu")))
    x = np.random.default_rng(1).normal(size=(2, 2, 6, 6)).astype(np.float32)
    wanted = interpret(lower(model.network, model.tensors), x)
    np.testing.assert_allclose(Engine(model)(x), wanted, rtol=1e-4, atol=1e-4)


def test_shifts_of_many_runs_and_far_offsets_are_answered_rightly() -> None:
    channels = 1500  # more runs than any kernel reads in place
    runs = tuple(
        (1, number % 5 - 2, (1 << 24) if number % 7 == 0 else number % 3 - 1) for number in range(channels)
    )
    model = file(("in", Conv(2, channels)), ("shift", Shift(runs)), ("out", Conv(channels, 3)))
    x = np.random.default_rng(1).normal(size=(1, 2, 6, 6)).astype(np.float32)
    wanted = interpret(lower(model.network, model.tensors), x)
    np.testing.assert_allclose(Engine(model)(x), wanted, rtol=1e-4)


def test_a_tree_of_as_many_nodes_as_are_allowed_is_ready_in_seconds() -> None:
    block = Sum((("", Chain()), ("b", Activation("relu"))))
    blocks = [(f"sum{number}", block) for number in range(MAX_NODES // 4 - 2)]
    start = time.process_time()
    engine = Engine(file(*blocks))
    assert time.process_time() - start < 20
    assert engine(-np.ones((1, 2, 6, 6), np.float32))[0, 0] == -1
