"""The engine, the interpreter and torch give the same answers: every name, odd sizes, batches, threads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import smidgen
from random_trees import classifiers, maps
from smidgen import native
from smidgen.engine import Engine
from smidgen.graph import Node, cost
from smidgen.program import interpret, lower
from smidgen.spec import Shape

TOLERANCE = 1e-4  # of the outputs' scale

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")

Tensors = Mapping[str, NDArray[Any]]


def trained_like(network: smidgen.Network, seed: int = 0) -> torch.nn.Module:
    """A module whose BatchNorm statistics are those of its own activations, as after training."""
    torch.manual_seed(seed)
    module = smidgen.create(network)
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
    module.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        module(torch.randn(4, *network.input[:3]))
    return module.eval()


def tensors_of(module: torch.nn.Module) -> Tensors:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def relative(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max()) if wanted.size else 0.0


@pytest.mark.parametrize("name", smidgen.names("*"))
def test_every_name_answers_as_torch_and_as_the_interpreter(name: str) -> None:
    network = smidgen.network(name, num_classes=11, resolution=64)
    if network.cost().params > 30e6:
        pytest.skip("as its smaller sisters, and minutes long")
    module = trained_like(network)
    x = torch.randn(3, *network.input[:3])
    with torch.no_grad():
        wanted = module(x).numpy()
    engine = Engine((network, tensors_of(module)), threads=2)
    answer = engine(x.numpy())
    program = lower(network, tensors_of(module))
    assert relative(answer, wanted) < TOLERANCE
    assert relative(interpret(program, x.numpy()), wanted) < TOLERANCE
    assert engine.arena_bytes() <= network.cost().peak_bytes


NAMES = ["efficientnet_b0", "squeezenet1_0_complex_bypass", "shiftnet_c", "shiftresnet20_e3", "resnet20"]


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_and_any_number_of_threads_give_the_same_bits(name: str) -> None:
    network = smidgen.network(name, num_classes=5, resolution=48)
    tensors = tensors_of(trained_like(network))
    x = np.random.default_rng(0).normal(size=(17, *network.input[:3])).astype(np.float32)
    one_by_one = np.concatenate([Engine((network, tensors), threads=1)(x[i : i + 1]) for i in range(17)])
    for threads in (1, 2, 3, 4, 11):  # the last: more than most steps have parts
        engine = Engine((network, tensors), threads=threads)
        for batch in (0, 1, 3, 17):
            assert engine(x[:batch]).tobytes() == one_by_one[:batch].tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(33, 47), (41, 64), (96, 35)])
def test_other_sizes_than_the_networks_own(name: str, size: tuple[int, int]) -> None:
    network = smidgen.network(name, num_classes=5, resolution=64)
    module = trained_like(network)
    x = torch.randn(2, network.input.channels, *size)
    with torch.no_grad():
        wanted = module(x).numpy()
    engine = Engine((network, tensors_of(module)))
    assert relative(engine(x.numpy()), wanted) < TOLERANCE
    assert engine.arena_bytes(*size) <= cost(network.tree, Shape(x.shape[1], *size)).peak_bytes


@st.composite
def cases(draw: st.DrawFn) -> tuple[Node, Shape]:
    shape = draw(maps())
    return draw(classifiers(shape))[0], shape


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(0, 2**31))
def test_random_trees(case: tuple[Node, Shape], seed: int) -> None:
    tree, shape = case
    network = smidgen.Network("random", "random", tree, shape, smidgen.Preprocess(resize=shape.height))
    module = trained_like(network, seed)
    x, tensors = torch.randn(2, *shape[:3]), tensors_of(module)
    # In float64: BatchNorms of constants, one behind the other, enlarge torch's own rounding a million times.
    with torch.no_grad():
        wanted = copy.deepcopy(module).double()(x.double()).numpy()
    assert close(interpret(lower(network, tensors), x.numpy()), wanted)
    assert close(Engine((network, tensors), threads=2)(x.numpy()), wanted)


def close(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Within the tolerance of the largest output, and of 1 where all are tiny."""
    return bool(np.abs(found - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max()))
