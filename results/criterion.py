"""How much a cut Lite0 changes when channels are pruned, by what tells which: the table of docs/compress.md.

    python results/criterion.py

Squared change of what the trunk makes of 40 patches of scikit-image's photographs, over its variance.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data

from smidgen import families, weights
from smidgen.compress import (
    Place,
    Share,
    Tensors,
    Wiring,
    chosen,
    cut,
    importance,
    kept,
    made_good,
    prune,
    wire,
)
from smidgen.graph import Conv, Network, leaves
from smidgen.modules import NetworkModule

SHARES = (Share(0.25, 0), Share(0.5, 0), Share(0.5, 0.25), Share(0.75, 0.375))
PHOTOGRAPHS = (data.astronaut, data.chelsea, data.coffee, data.rocket, data.cat)
SIDE = 96


def patches(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """Eight patches of each photograph at half its size, normalised."""
    draw, found = np.random.default_rng(0), []
    for photograph in PHOTOGRAPHS:
        pixels = torch.from_numpy(photograph().astype(np.float32) / 255).permute(2, 0, 1)[None]
        half = torch.nn.functional.avg_pool2d(pixels, 2)[0]
        for _ in range(8):
            top, left = draw.integers(0, half.shape[1] - SIDE), draw.integers(0, half.shape[2] - SIDE)
            found.append(half[:, top : top + SIDE, left : left + SIDE])
    wide = [torch.tensor(numbers)[:, None, None] for numbers in (mean, std)]
    return (torch.stack(found) - wide[0]) / wide[1]


def norms_of_weights(network: Network, tensors: Tensors, wiring: Wiring) -> NDArray[np.float64]:
    """Product of the L2 norms of what makes a channel, its BatchNorm folded in, and of what reads it."""
    makes, reads = np.zeros(wiring.count), np.zeros(wiring.count)
    named = dict(leaves(network.tree))
    for path, leaf in named.items():
        if isinstance(leaf, Conv):
            norm = f"{path.rpartition('.')[0]}.{int(path.rpartition('.')[2]) + 1}"
            deviation = np.sqrt(tensors[f"{norm}.running_var"] + 1e-3)
            scale = (tensors[f"{norm}.weight"] / deviation).reshape(-1, 1, 1, 1)
            squares = (tensors[f"{path}.weight"].astype(np.float64) * scale) ** 2
            makes[wiring.outs[path]] += squares.sum((1, 2, 3))
            if leaf.groups == 1:
                reads[wiring.ins[path]] += squares.sum((0, 2, 3))
    return np.sqrt(makes * np.where(reads > 0, reads, 1))


def trunk(network: Network, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    """What the trunk makes."""
    model = NetworkModule(network).eval()
    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        made: torch.Tensor = model.get_submodule("features")(x)
    return made


def main() -> None:
    """Print the table."""
    published = weights.published_model(weights.find("efficientnet_lite0", "imagenet"))
    network = cut(
        families.network("efficientnet_lite0", num_classes=10, resolution=SIDE, dropped_strides=0),
        Place(4, 3),
    )
    tensors, wiring = kept(published.tensors, network), wire(network)
    x = patches(published.network.preprocess.mean, published.network.preprocess.std)
    whole = trunk(network, tensors, x)
    end = wiring.outs["features.4.2.block.2.1"]
    ways = {
        "this": importance(network, tensors, wiring),
        "norms": norms_of_weights(network, tensors, wiring),
        "random": np.random.default_rng(1).random(wiring.count),
    }
    for share in SHARES:
        for way, matters in ways.items():
            keep = chosen(wiring, matters, share)
            changed = made_good(network, tensors, wiring, keep)
            for good in (False, True) if way == "this" else (False,):
                small, left = prune(network, {**tensors, **(changed if good else {})}, keep)
                there = whole[:, torch.from_numpy(keep[end])]
                change = float((there - trunk(small, left, x)).square().mean() / there.var())
                print(
                    share.inner, share.stream, small.cost().params, way, "made good" * good, f"{change:.2f}"
                )


if __name__ == "__main__":
    main()
