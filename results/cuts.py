"""Every cut and pruned network of ten, at random budgets: counted, built, run by the engine, exported.

    python results/cuts.py --budgets 3 --seed 0

Weights are drawn. A row for each network: parameters as the tree counts them and as the arrays hold them, and
how far the engine and ONNX Runtime are from the module, over its largest answer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import smidgen
from smidgen import export, families
from smidgen.compress import inside, made
from smidgen.graph import Network, parameters
from smidgen.modules import NetworkModule
from smidgen.program import draw_weights

TEN = (
    "efficientnet_lite0", "efficientnet_lite2", "efficientnet_b0", "efficientnet_v2_b0", "squeezenet1_1",
    "squeezenet1_0", "shiftnet_a", "shiftresnet20_e3", "resnet20", "squeezenet1_1_complex_bypass",
)  # fmt: skip
LEAST, MOST = 1e4, 4e6  # parameters


def answers(model: NetworkModule, x: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """What the module, the engine and ONNX Runtime make of pictures."""
    with torch.no_grad():
        yield model(torch.from_numpy(x)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        smidgen.save(Path(folder) / "m.safetensors", model.network, model)
        yield smidgen.Engine(Path(folder) / "m.safetensors")(x)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    session = onnxruntime.InferenceSession(export.to_onnx(model.network, state).SerializeToString())
    yield session.run(None, {session.get_inputs()[0].name: x})[0]


def row(small: Network, left: dict[str, NDArray[np.float32]], x: NDArray[np.float32]) -> tuple[object, ...]:
    """Name, parameters counted and held, and the two distances."""
    model = smidgen.create(small).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in left.items()}, strict=False)
    state = model.state_dict()
    held = sum(state[name].numel() for name, _ in parameters(small.tree))
    wanted, *others = answers(model, x)
    distances = [f"{np.abs(other - wanted).max() / np.abs(wanted).max():.1e}" for other in others]
    return (small.name, small.cost().params, held, *distances)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--budgets", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = np.random.default_rng(arguments.seed)
    for name in TEN:
        network = families.network(name, num_classes=10, resolution=64, dropped_strides=0)
        tensors, top = draw_weights(network), min(MOST, 0.95 * network.cost().params)
        for _ in range(arguments.budgets):
            limit = round(float(np.exp(draw.uniform(np.log(LEAST), np.log(top)))))
            for cutting in inside(network, tensors, lambda one, limit=limit: one.cost().params <= limit):
                small, left = made(network, tensors, cutting)
                x = draw.standard_normal((2, *small.input[:3])).astype(np.float32)
                print(limit, *row(small, left, x), flush=True)


if __name__ == "__main__":
    main()
