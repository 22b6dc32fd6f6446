"""A training of a second on digits, with everything on: average, teacher, augmentation, clipped gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from smidgen import families
from smidgen.data import open_dataset
from smidgen.graph import Network, Preprocess
from smidgen.modules import NetworkModule, create
from smidgen.train.augment import Augment
from smidgen.train.distil import Teacher
from smidgen.train.hardware import Hardware
from smidgen.train.loop import Training
from smidgen.train.pixels import Examples, TrainingData
from smidgen.train.recipe import Recipe
from smidgen.train.replay import Recorder

PREPROCESS = Preprocess(8, mean=(0.3,), std=(0.4,))
PLAN = Recipe(
    epochs=3,
    batch_size=16,
    learning_rate=3e-3,
    weight_decay=0.05,
    ema_decay=0.99,
    label_smoothing=0.1,
    clip_grad=1.0,
    distillation=0.5,
    augment=Augment(rotation=10, translation=0.1, erase=0.2),
)


def digits(start: int, stop: int) -> Examples:
    chosen = sorted(open_dataset("digits").pictures, key=lambda picture: picture.name[::-1])[start:stop]
    labels = np.array([picture.label for picture in chosen], np.int64)
    return Examples(np.stack([picture.read(1) for picture in chosen]), labels)


def network(name: str) -> Network:
    return families.network(name, num_classes=10, c_in=1, resolution=8)


def module(name: str, seed: int) -> NetworkModule:
    torch.manual_seed(seed)
    return create(network(name))


def training(
    plan: Recipe = PLAN, name: str = "efficientnet_lite0", record: Recorder | None = None, device: str = "cpu"
) -> Training:
    teacher = Teacher(
        module("shiftresnet20_e1", 5).to(device), (8, 8), Preprocess(8, mean=(0.5,), std=(0.2,))
    )
    return Training(
        module(name, 7),
        plan,
        TrainingData(digits(0, 75), digits(100, 150), PREPROCESS),
        seed=3,
        teacher=teacher,
        hardware=Hardware(torch.device(device), recorder=record),
    )


def weights(one: Training) -> dict[str, Tensor]:
    one.finish()
    return one.model.state_dict()
