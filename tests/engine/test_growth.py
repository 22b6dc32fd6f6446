"""Engines that run for long, and side by side."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import smidgen
from smidgen import Engine
from smidgen.graph import tensors
from smidgen.modelfile import ModelFile

MIB = 2**20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells what a process holds"),
]


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def engine(name: str, threads: int) -> Engine:
    network = smidgen.network(name, num_classes=5, resolution=32)
    draw = np.random.default_rng(len(name))
    arrays = {
        tensor.name: draw.uniform(0.05, 0.15, tensor.shape).astype(np.float32)
        if tensor.shape
        else np.array(0)
        for tensor in tensors(network.tree)
    }
    return Engine(ModelFile(network, arrays), threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_ten_thousand_predictions_take_no_more_memory_than_a_hundred(threads: int) -> None:
    one = engine("shiftresnet20_e1", threads)
    draw = np.random.default_rng(0)
    sizes = [(1, 32), (3, 32), (1, 24), (2, 40), (1, 33), (4, 16)]  # more sizes than plans are kept
    inputs = [draw.normal(size=(count, 3, side, side)).astype(np.float32) for count, side in sizes]
    # Most calls have one size: each new one is a plan to make.
    order = [0] * 20 + [1] * 4 + list(range(len(inputs)))

    def calls(count: int) -> None:
        for number in range(count):
            one(inputs[order[number % len(order)]])

    calls(300)
    before = resident()
    calls(10_000)
    assert resident() - before < 4 * MIB


def test_engines_that_come_and_go_leave_nothing() -> None:
    x = np.zeros((1, 3, 32, 32), np.float32)

    def some(count: int) -> None:
        for _ in range(count):
            engine("shiftresnet20_e1", 2)(x)

    some(20)
    before = resident()
    some(200)
    assert resident() - before < 8 * MIB


def test_two_engines_in_two_threads_answer_as_each_alone() -> None:
    engines = [engine("efficientnet_lite0", 2), engine("shiftresnet20_e3", 2)]
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(count, 3, 32, 32)).astype(np.float32) for count in (1, 3)]
    alone = [[one(x).tobytes() for x in inputs] for one in engines]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            found = [engines[index](x).tobytes() for x in inputs]
            wrong.extend([] if found == alone[index] else [index])

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(engines))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
