"""The share of a training step that augmentation takes, on one core: 32 colour pictures of 128 pixels.

    python results/augmentation.py --models efficientnet_lite0 shiftresnet20_e1 --out results/augmentation.csv

Augmentation and the step (forward and backward) take turns; the shortest of their times are told,
since other work only adds to a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rows import append

import smidgen
from smidgen.graph import Preprocess
from smidgen.modules import create
from smidgen.train.augment import Augment
from smidgen.train.pixels import Examples, normalise, to_unit
from smidgen.train.strengths import Mixing
from smidgen.train.views import Views

COUNT, SIDE = 32, 128
KINDS = {
    "none": (Augment(), Mixing()),
    "small": (Augment(rotation=10, translation=0.1, scale=(0.9, 1.1), shear=5), Mixing()),
    "crop and flip": (Augment(crop=(0.35, 1.0), flip=True), Mixing()),
    "saturation": (Augment(saturation=0.3), Mixing()),
    "hue": (Augment(hue=0.1), Mixing()),
    "crop, flip, colour, erasing": (
        Augment(
            crop=(0.35, 1.0), flip=True, brightness=0.2, contrast=0.2, saturation=0.3, hue=0.05, erase=0.2
        ),
        Mixing(),
    ),
    "TrivialAugment": (Augment(trivial=1.0), Mixing()),
    "AutoAugment": (Augment(auto=1.0), Mixing()),
    "crop, flip, mixup, CutMix": (Augment(crop=(0.35, 1.0), flip=True), Mixing(mixup=0.2, cutmix=1.0)),
}
COLUMNS = ("model", "params", "augmentation", "augmentation_ms", "step_ms", "share", "torch", "rounds")


def main() -> None:
    """Time every kind in turns with a step of each model, and leave a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.models:
        network = smidgen.network(name, num_classes=10, resolution=SIDE)
        works = {kind: seen(*changes) for kind, changes in KINDS.items()} | {"step": step(network)}
        least = dict.fromkeys(works, float("inf"))
        for _ in range(given.rounds):
            for kind, work in works.items():
                least[kind] = min(least[kind], milliseconds(work))
        for kind in KINDS:
            share = least[kind] / (least[kind] + least["step"])
            print(f"{name:22}{kind:30}{least[kind]:8.1f} of {least['step']:.0f} ms  {share:.1%}")
            row = [name, network.cost().params, kind, f"{least[kind]:.1f}", f"{least['step']:.0f}"]
            if given.out:
                append(given.out, COLUMNS, [*row, f"{share:.4f}", torch.__version__, given.rounds])


def seen(strengths: Augment, mixing: Mixing) -> Callable[[], object]:
    """What makes a batch of bytes into what a network sees."""
    places = torch.arange(COUNT)
    views = Views(noise(), strengths, 0, torch.device("cpu"), mixing)
    return lambda: views.seen(0, places, views.keys(0, places))


def noise() -> Examples:
    """Random bytes."""
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    return Examples(pictures, np.zeros(COUNT, np.int64))


def step(network: smidgen.Network) -> Callable[[], object]:
    """A pass forward and back."""
    model = create(network).train()
    unit = to_unit(torch.from_numpy(noise().pictures))
    x = normalise(unit, Preprocess(SIDE, mean=(0.5,) * 3, std=(0.25,) * 3))

    def work() -> None:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x), torch.arange(COUNT) % 10).backward()

    return work


def milliseconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
