"""Images a second of Smidgen's training loop against a plain PyTorch loop; same network, weights and recipe.

    python results/loop_speed.py --rounds 5 --out results/loop_speed.csv

Fashion-MNIST at 28 x 28. Every way trains in a process of its own; they take turns, one epoch each. The
first epoch of each is training but is not timed. The plain loop first tries its settings (threads, workers
of its DataLoader) and keeps the fastest. Validation is not part of the seconds. Needs torchvision, which
augments for the plain loop picture by picture, with the same kinds and strengths as Smidgen's recipe.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import os
import statistics
import time
from datetime import UTC, datetime
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from rows import append
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

import smidgen
from smidgen.data import open_dataset
from smidgen.train import Examples, Recipe, accuracy, predict_logits, recipe
from smidgen.train.augment import Augment
from smidgen.train.loop import Training
from smidgen.train.optimiser import learning_rate
from smidgen.train.pixels import TrainingData
from smidgen.train.threads import sharing

COLUMNS = (
    "date", "network", "params", "way", "threads", "workers", "images_per_s", "val_accuracy", "seconds",
    "round", "pictures", "load",
)  # fmt: skip
WAYS = ("smidgen", "plain", "compiled")
TRIAL_SECONDS = 3.0  # for each setting of the plain loop
VALIDATED = 5_000


class Task(NamedTuple):
    """What all ways are given.

    pictures  to train on
    rounds    timed epochs, after one that is not
    """

    family: str
    params: int
    pictures: int
    rounds: int
    seed: int
    augmented: bool

    @property
    def recipe(self) -> Recipe:
        """The default recipe in so many epochs."""
        short = recipe("small").shortened(self.rounds + 1)
        return short if self.augmented else dataclasses.replace(short, augment=Augment())

    def network(self) -> smidgen.Network:
        """The family's largest network inside the parameters, normalised as is usual for Fashion-MNIST."""
        budget = smidgen.Budget(params=self.params)
        found = smidgen.solve(self.family, budget, num_classes=10, c_in=1, resolution=28).network
        preprocess = dataclasses.replace(found.preprocess, mean=(0.2860,), std=(0.3530,))
        return dataclasses.replace(found, preprocess=preprocess)

    def data(self) -> tuple[Examples, Examples]:
        """Pictures to train and to validate on, both out of the set's 60,000."""
        whole = open_dataset("fashion-mnist")
        assert whole.given_split is not None
        places = [place for place, part in enumerate(whole.given_split) if part == "train"]
        order = np.random.default_rng(self.seed).permutation(places)

        def part(chosen: list[int]) -> Examples:
            grey = np.stack([whole.pictures[place].read(1) for place in chosen])
            return Examples(grey, np.array([whole.pictures[place].label for place in chosen], np.int64))

        order = order.tolist()
        return part(order[: self.pictures]), part(order[self.pictures : self.pictures + VALIDATED])


class Turn(NamedTuple):
    """One epoch of one way."""

    threads: int
    workers: int
    images_per_s: float
    val_accuracy: float
    seconds: float


class Way(Protocol):
    """A training that goes on by one epoch at each call."""

    trials: list[Turn]

    def epoch(self) -> Turn: ...  # noqa: D102


class Ours:
    """Smidgen's own loop; `compiled` runs forward and backward through torch.compile."""

    def __init__(self, task: Task, compiled: bool = False) -> None:
        self.trials: list[Turn] = []
        self.network = task.network()
        train, val = task.data()
        torch.manual_seed(task.seed)
        model = smidgen.create(self.network)
        data = TrainingData(train, val, self.network.preprocess)
        self.training = Training(model, task.recipe, data, seed=task.seed)
        if compiled:
            model.compile(dynamic=False)
        self.macs = self.network.cost().macs * task.recipe.batch_size

    def epoch(self) -> Turn:
        """Train and validate once."""
        before = self.training.timer.seconds["validation"]
        with sharing(self.macs, alone=True):
            threads, began = torch.get_num_threads(), time.perf_counter()
            self.training.run(until=len(self.training.rows) + 1)
            seconds = time.perf_counter() - began
        seconds -= self.training.timer.seconds["validation"] - before
        images = len(self.training.data.train) / seconds
        return Turn(threads, 0, images, self.training.history.last.val_accuracy, seconds)


class Plain:
    """What a PyTorch user writes: Dataset, DataLoader, torchvision's transforms, AdamW, AveragedModel."""

    def __init__(self, task: Task) -> None:
        self.task, self.recipe, self.network = task, task.recipe, task.network()
        train, self.val = task.data()
        self.pictures = Pictures(train, transform(task.recipe.augment, self.network))
        self.trials = [self.trial(threads, workers) for threads, workers in product((1, 2), (0, 1, 2))]
        best = max(self.trials, key=lambda turn: turn.images_per_s)
        self.threads, self.workers = best.threads, best.workers
        self.start(self.workers)

    def trial(self, threads: int, workers: int) -> Turn:
        """Speed of one setting, on a network that is then thrown away."""
        torch.set_num_threads(threads)
        self.start(workers)
        images = 0
        began = stop = time.perf_counter()
        for number, (pictures, labels) in enumerate(self.loader):
            self.update(pictures, labels)
            stop = time.perf_counter()
            if number == 0:  # the first step waits for the workers to start and chooses kernels
                began = stop
                continue
            images += len(labels)
            if stop - began > TRIAL_SECONDS:
                break
        return Turn(threads, workers, images / (stop - began), math.nan, stop - began)

    def start(self, workers: int) -> None:
        """Begin the training anew."""
        torch.manual_seed(self.task.seed)
        self.model = smidgen.create(self.network).train()
        given = self.recipe
        self.loader = DataLoader(
            self.pictures,
            given.batch_size,
            shuffle=True,
            drop_last=len(self.pictures) % given.batch_size == 1,  # BatchNorm refuses a single picture
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,  # not this process's own way of starting
        )
        weights = [value for value in self.model.parameters() if value.dim() > 1]
        others = [value for value in self.model.parameters() if value.dim() <= 1]
        groups = [
            {"params": weights, "weight_decay": given.weight_decay},
            {"params": others, "weight_decay": 0},
        ]
        self.optimiser = torch.optim.AdamW(groups, given.learning_rate, given.betas, given.eps)
        self.average = AveragedModel(self.model, multi_avg_fn=self.averaged, use_buffers=True)
        self.step = 0

    @torch.no_grad()
    def averaged(self, averages: Any, values: Any, steps: Any) -> None:
        """The recipe's moving average with its warm-up; counters are copied."""
        done = int(steps)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - min(self.recipe.ema_decay, (1 + done) / (10 + done)))
        else:
            torch._foreach_copy_(averages, values)

    def update(self, pictures: Tensor, labels: Tensor) -> None:
        """One step of the optimiser."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, len(self.loader))
        self.optimiser.zero_grad()
        loss = F.cross_entropy(self.model(pictures), labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1

    def epoch(self) -> Turn:
        """Train and validate once."""
        torch.set_num_threads(self.threads)
        images, began = 0, time.perf_counter()
        for pictures, labels in self.loader:
            self.update(pictures, labels)
            images += len(labels)
        seconds = time.perf_counter() - began
        logits = predict_logits(self.average.module, self.val.pictures, self.network.preprocess)
        found = accuracy(logits, self.val.labels)
        return Turn(self.threads, self.workers, images / seconds, found, seconds)


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures one by one, changed by a transform."""

    def __init__(self, data: Examples, change: Any) -> None:
        from PIL import Image

        self.pictures = [Image.fromarray(picture[:, :, 0]) for picture in data.pictures]
        self.labels = data.labels.tolist()
        self.change = change

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.change(self.pictures[index]), self.labels[index]


def transform(strengths: Augment, network: smidgen.Network) -> Any:
    """Torchvision's transforms of the recipe's strengths, on Pillow's pictures, where they are fastest."""
    v2 = torchvision_transforms()
    shear, move = strengths.shear, strengths.translation
    moved = v2.RandomAffine(
        degrees=strengths.rotation,
        translate=(move, move),
        scale=strengths.scale,
        shear=(-shear, shear, -shear, shear),
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    preprocess = network.preprocess
    ready = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(preprocess.mean, preprocess.std),
    ]
    return v2.Compose([*([moved] if strengths.moves else []), *ready])


_library: Any = None


def torchvision_transforms() -> Any:
    """`torchvision.transforms.v2`, also where torch is a CPU build and torchvision's operators are absent."""
    global _library
    if _library is None and not hasattr(torch.ops.torchvision, "nms"):
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.transforms import v2

    return v2


def work(name: str, task: Task, turns: Connection) -> None:
    """Process of one way: one epoch at each word from the parent."""
    way: Way = Plain(task) if name == "plain" else Ours(task, compiled=name == "compiled")
    turns.send(way.trials)
    while turns.recv():
        turns.send(way.epoch())


def measure(task: Task, ways: list[str], out: Path) -> None:
    """Let the ways take turns; append a row for each turn and print the paired ratios."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    workers = []
    network = task.network()
    label = network.name + ("" if task.augmented else " unaugmented")
    params = network.cost().params
    for way in ways:
        ends[way], theirs = context.Pipe()
        worker = context.Process(target=work, args=(way, task, theirs))
        worker.start()
        theirs.close()
        workers.append(worker)
        for trial in ends[way].recv():  # one after the other, so that no trial disturbs another
            keep(out, label, params, f"{way} trial", "", task, trial)
    found: dict[str, list[Turn]] = {way: [] for way in ways}
    for number in range(task.rounds + 1):
        for way in ways:
            ends[way].send(True)
            turn = ends[way].recv()
            keep(out, label, params, way, number, task, turn)
            found[way].append(turn)
    for way, worker in zip(ways, workers, strict=True):
        ends[way].send(False)
        worker.join()
    first, *rivals = ways
    for rival in rivals:
        pairs = zip(found[first][1:], found[rival][1:], strict=True)
        ratios = sorted(mine.images_per_s / other.images_per_s for mine, other in pairs)
        accuracies = [found[way][-1].val_accuracy for way in (first, rival)]
        print(
            f"{label} ({params:,} parameters): {first} / {rival} {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}); validation {accuracies[0]:.4f} and {accuracies[1]:.4f}; "
            f"first epoch {found[first][0].seconds:.1f} and {found[rival][0].seconds:.1f} s",
            flush=True,
        )


def keep(out: Path, label: str, params: int, way: str, number: int | str, task: Task, turn: Turn) -> None:
    """Add the row of one turn."""
    accurate = "" if math.isnan(turn.val_accuracy) else round(turn.val_accuracy, 4)
    row = (
        datetime.now(UTC).date(), label, params, way, turn.threads, turn.workers,
        round(turn.images_per_s, 1), accurate, round(turn.seconds, 3),
        number, task.pictures, round(os.getloadavg()[0], 2),
    )  # fmt: skip
    append(out, COLUMNS, row)


def main() -> None:
    """Measure every network that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--families", nargs="+", default=["resnet", "shiftnet"])
    parser.add_argument("--params", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--pictures", type=int, default=8_192, help="a multiple of 64 spares a compilation")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["smidgen", "plain"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unaugmented", action="store_true", help="leave the pictures as they are")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for family, params in product(given.families, given.params):
        task = Task(family, params, given.pictures, given.rounds, given.seed, not given.unaugmented)
        measure(task, given.ways, given.out)


if __name__ == "__main__":
    main()
