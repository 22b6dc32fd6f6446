"""ShiftResNet-20 against its depthwise twin, trained alike on Fashion-MNIST: accuracy and time of both.

    python results/shift_depthwise.py --per-class 1000 --epochs 15 --out results/shift_depthwise.csv

The twin is the same tree with a depthwise 3x3 convolution in the place of every shift. A seed decides the
pictures, the initial weights and the augmentation of both; the recipe is `fit`'s default for the shift
network and holds for both. Each trains in a process of its own; they take turns, one epoch each, and the
first epoch of each is training but is not timed. Milliseconds of training are all that the loop's timer
counts but validation and checkpoints. Accuracy is of the last epoch on the set's 10,000 test pictures,
which are looked at once. Predictions run in eager torch, channels_last, no BatchNorm folded; the same two
processes take turns (2 calls discarded, 10 timed). A ratio is of two neighbouring turns, shift / depthwise.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rows import append, told
from shift import isa, machine

import smidgen
from smidgen.data import open_dataset
from smidgen.families import network
from smidgen.graph import Combinator, Conv, Init, Network, Node, Shift, leaves, pad
from smidgen.run.schedule import augmentation_strength
from smidgen.train import Examples, Recipe, accuracy, predict_logits, recipe
from smidgen.train.loop import Training
from smidgen.train.pixels import TrainingData

WAYS = ("shift", "depthwise")
BATCHES = (1, 64)  # of the predictions
VALIDATED = 100  # pictures of each class, for the curve; they are neither trained on nor tested
DISCARDED, TIMED = 2, 10
COLUMNS = (
    "date", "isa", "way", "network", "seed", "per_class", "epochs", "params", "macs", "test_accuracy",
    "train_ms", "predict_ms_b1", "predict_ms_b64", "train_turns_ms", "predict_turns_ms_b1",
    "predict_turns_ms_b64", "threads", "load",
)  # fmt: skip


class Task(NamedTuple):
    """What both are given."""

    expand: int
    per_class: int
    epochs: int
    seed: int
    threads: int
    tested: int | None

    def network(self, way: str) -> Network:
        """The shift network or its twin, normalised as is usual for Fashion-MNIST."""
        found = network(f"shiftresnet20_e{self.expand}", num_classes=10, c_in=1, resolution=28)
        preprocess = dataclasses.replace(found.preprocess, mean=(0.2860,), std=(0.3530,))
        found = dataclasses.replace(found, preprocess=preprocess)
        return depthwise_twin(found) if way == "depthwise" else found

    @property
    def recipe(self) -> Recipe:
        """The default recipe in so many epochs, with the augmentation that fits the shift network."""
        base = recipe("small").shortened(self.epochs)
        params = self.network("shift").cost().params
        strength = augmentation_strength(params, 10 * self.per_class, self.epochs)
        return dataclasses.replace(
            base,
            augment=base.augment.scaled(strength),
            label_smoothing=base.label_smoothing * strength,
        )

    def data(self) -> tuple[Examples, Examples, Examples]:
        """Pictures to train on, to validate on, and to test on."""
        whole = open_dataset("fashion-mnist")
        assert whole.given_split is not None
        random = np.random.default_rng(self.seed)
        labels = np.array([picture.label for picture in whole.pictures], np.int64)
        train = np.array([part == "train" for part in whole.given_split])
        drawn = np.stack(
            [
                random.choice(
                    np.flatnonzero(train & (labels == label)), self.per_class + VALIDATED, replace=False
                )
                for label in range(len(whole.classes))
            ]
        )

        def part(places: Sequence[int]) -> Examples:
            return Examples(np.stack([whole.pictures[place].read(1) for place in places]), labels[places])

        test = np.flatnonzero(~train)[: self.tested]
        chosen = (drawn[:, : self.per_class].ravel(), drawn[:, self.per_class :].ravel(), test)
        first, second, third = (part(places.tolist()) for places in chosen)
        return first, second, third


def depthwise_twin(found: Network) -> Network:
    """The same network with a depthwise 3x3 convolution for every shift, initialised as its neighbours."""
    init = next(leaf.init for _, leaf in leaves(found.tree) if isinstance(leaf, Conv))
    name = f"{found.name}_depthwise"
    return dataclasses.replace(found, name=name, tree=_depthwise(found.tree, init))


def _depthwise(node: Node, init: Init) -> Node:
    if isinstance(node, Shift):
        channels = sum(count for count, _, _ in node.runs)
        return Conv(channels, channels, 3, padding=pad(1), groups=channels, init=init)
    if not isinstance(node, Combinator):
        return node
    children = tuple((name, _depthwise(child, init)) for name, child in node.children)
    return dataclasses.replace(node, children=children)


class Result(NamedTuple):
    """One way with one seed; the times are milliseconds a picture, one for each turn.

    predict  turns at each batch size
    """

    accuracy: float
    train: list[float]
    predict: dict[int, list[float]]


def work(way: str, task: Task, words: Connection) -> None:
    """Process of one way: an epoch at "epoch", the test at "test", a turn of predictions at a batch size."""
    torch.set_num_threads(task.threads)
    train, val, test = task.data()
    net = task.network(way)
    torch.manual_seed(task.seed)
    model = smidgen.create(net)
    training = Training(model, task.recipe, TrainingData(train, val, net.preprocess), seed=task.seed)
    words.send(None)  # ready: the other may be made ready without disturbing
    while word := words.recv():
        if word == "epoch":
            before = seconds(training)
            training.run(until=len(training.rows) + 1)
            words.send(1000 * (seconds(training) - before) / len(train))
        elif word == "test":
            training.finish()
            words.send(accuracy(predict_logits(model, test.pictures, net.preprocess), test.labels))
        else:
            words.send(predicting(model, word, net))


def seconds(training: Training) -> float:
    """What the loop's timer counted for training itself."""
    counted = training.timer.seconds
    return sum(value for stage, value in counted.items() if stage not in ("validation", "checkpoint"))


def predicting(model: torch.nn.Module, batch: int, net: Network) -> float:
    """Median milliseconds a picture of one turn."""
    x = torch.randn(batch, *net.input[:3])
    _, channels, height, width = x.shape
    # By its strides channels_last, which torch does not say of one channel unless told.
    x = x.as_strided(x.shape, (height * width * channels, 1, width * channels, channels))
    times = []
    with torch.no_grad():
        for number in range(DISCARDED + TIMED):
            began = time.perf_counter()
            model.eval()(x)
            if number >= DISCARDED:
                times.append(1000 * (time.perf_counter() - began) / batch)
    return statistics.median(times)


def one(task: Task, rounds: int, out: Path) -> dict[str, Result]:
    """Train both with one seed in turns, test them, and let them predict in turns; add their rows."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    workers = []
    for way in WAYS:
        ends[way], theirs = context.Pipe()
        workers.append(context.Process(target=work, args=(way, task, theirs), daemon=True))
        workers[-1].start()
        theirs.close()
        ends[way].recv()

    def turns(word: str | int, count: int) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(count):
            for way in WAYS:
                ends[way].send(word)
                found[way].append(ends[way].recv())
        return found

    epochs = turns("epoch", task.epochs)
    tested = turns("test", 1)
    predicted = {batch: turns(batch, rounds) for batch in BATCHES}
    for way, worker in zip(WAYS, workers, strict=True):
        ends[way].send(None)
        worker.join()
    results = {
        way: Result(tested[way][0], epochs[way][1:], {batch: predicted[batch][way] for batch in BATCHES})
        for way in WAYS
    }
    for way, result in results.items():
        net, series = task.network(way), [result.train, *result.predict.values()]
        row = (
            datetime.now(UTC).date(), isa(), way, net.name, task.seed, task.per_class, task.epochs,
            net.cost().params, net.cost().macs, f"{result.accuracy:.4f}",
            *(f"{statistics.median(values):.4f}" for values in series),
            *(" ".join(f"{value:.4f}" for value in values) for values in series),
            task.threads, round(os.getloadavg()[0], 2),
        )  # fmt: skip
        append(out, COLUMNS, row)
    return results


def summarise(task: Task, found: Sequence[dict[str, Result]]) -> None:
    """Print the two side by side, over all seeds."""
    print(f"\n{'':28}{WAYS[0]:>20}{WAYS[1]:>20}   paired {' / '.join(WAYS)}: median (least–most)")
    costs = [task.network(way).cost() for way in WAYS]
    for name, values in (("parameters", [c.params for c in costs]), ("MACs", [c.macs for c in costs])):
        print(f"{name:28}" + "".join(f"{value:20,}" for value in values) + f"   {values[0] / values[1]:.2f}")
    accuracies = [[100 * results[way].accuracy for results in found] for way in WAYS]
    cells = [f"{statistics.mean(values):.2f} ± {deviation(values):.2f} %" for values in accuracies]
    differences = [one - other for one, other in zip(*accuracies, strict=True)]
    print(
        f"{'test accuracy, last epoch':28}" + "".join(f"{cell:>20}" for cell in cells) + "   difference "
        f"{statistics.mean(differences):+.2f} ± {deviation(differences):.2f} points over {len(found)} seeds"
    )
    told_row("training ms/picture", [[results[way].train for way in WAYS] for results in found])
    for batch in BATCHES:
        series = [[results[way].predict[batch] for way in WAYS] for results in found]
        told_row(f"prediction ms/picture, b{batch}", series)


def told_row(name: str, series: Sequence[Sequence[Sequence[float]]]) -> None:
    """Print both ways' medians over the turns of all seeds, and the paired ratios.

    series  of each seed, of each way: its turns
    """
    both = [[value for ways in series for value in ways[index]] for index in range(len(WAYS))]
    pairs = [one / other for one, other in zip(*both, strict=True)]
    print(
        f"{name:28}" + "".join(f"{statistics.median(values):20.4f}" for values in both) + f"   {told(pairs)}"
    )


def deviation(values: Sequence[float]) -> float:
    """Of a sample; not a number for one value."""
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def main() -> None:
    """Train and compare with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--expand", type=int, choices=(1, 3, 6, 9), default=3)
    parser.add_argument(
        "--per-class", type=int, default=1000, help="training pictures of each class, to 5900"
    )
    parser.add_argument("--epochs", type=int, default=15, help="at least 2: the first is not timed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=10, help="turns of predictions for each seed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tested", type=int, help="test pictures; default: all 10,000")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.epochs < 2:
        parser.error("--epochs: at least 2 are needed, the first is not timed")
    if not 1 <= given.per_class <= 6000 - VALIDATED:
        parser.error(f"--per-class: the set has 6,000, of which {VALIDATED} validate")
    print(machine(given.threads))
    found = []
    for seed in given.seeds:
        task = Task(given.expand, given.per_class, given.epochs, seed, given.threads, given.tested)
        found.append(one(task, given.rounds, given.out))
        print(
            f"seed {seed}:",
            *(f"{way} {100 * of.accuracy:.2f} %" for way, of in found[-1].items()),
            flush=True,
        )
    summarise(task, found)
    print(machine(given.threads))


if __name__ == "__main__":
    main()
