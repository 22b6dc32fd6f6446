"""Accuracy on colour pictures for parameters and minutes: Smidgen, features, a YOLO from scratch.

    python results/colour.py emoji --limits params=200k@10 params=60k@5
    python results/colour.py emoji --limits params=200k@10 --way old --python OLD/.venv/bin/python
    python results/colour.py emoji --way features
    python results/colour.py emoji --way yolo --python YOLO/bin/python --limits params=2M@10
    python results/colour.py photographs --data FOLDER --limits params=4M@5 params=800k@5
    python results/colour.py emoji --summary --plot results/colour.png

A limit is a budget and minutes. A row is kept when it ends, and rows that are there are passed over: the
script may be stopped and begun again. All ways see the parts that `fit` has at that seed. `old` is `fit` of
another build. `features` is Lite0 at 224 pixels, pooled, and a logistic regression whose strength the
validation part chooses. `yolo` is the smallest YOLO classifier, from scratch; it needs `ultralytics` in its
Python and takes the minutes of a limit, not its budget. The emoji set is needed (SMIDGEN_EMOJI), or a folder
of photographs.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rows import append

import smidgen
from smidgen.data import open_dataset
from smidgen.train.material import Material, Part, part_of, prepare
from smidgen.watch import Watch

COLUMNS = (
    "set", "way", "seed", "limit", "budget", "params", "minutes_asked", "minutes", "test_accuracy", "n",
    "family", "start", "command",
)  # fmt: skip
FILE = Path(__file__).with_suffix(".csv")
GROUPS = {"emoji": "/([0-9a-f]+)", "photographs": None}
STRENGTHS = tuple(10.0**power for power in range(-4, 1))  # weight decay of the regression
# Student's t, two-sided 95 %, by degrees of freedom. Source: Fisher & Yates 1938, table III
T95 = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
YOLO = """
import json, sys
import torch
library = torch.library.Library("torchvision", "DEF")  # torchvision's wheel beside a torch for CPUs
for name in ("nms", "qnms"):
    try:
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:  # it is there
        pass
from ultralytics import YOLO
data, size, hours, seed, out = sys.argv[1:]
common = dict(data=data, imgsz=int(size), device="cpu", workers=0, plots=False, project=out)
model = YOLO("yolo11n-cls.yaml")
model.train(time=float(hours), seed=int(seed), pretrained=False, **common)
best = YOLO(model.trainer.best)
parts = {part: float(best.val(split=part, **common).top1) for part in ("val", "test")}
print(json.dumps({"params": sum(p.numel() for p in best.model.parameters()), **parts}))
"""


class Case(NamedTuple):
    """One row to make."""

    set: str
    way: str
    seed: int
    limit: str = ""  # budget@minutes

    @property
    def budget(self) -> str:
        """As `fit --budget` takes it."""
        return self.limit.partition("@")[0]

    @property
    def minutes(self) -> float:
        """Of the whole run; 0 where nothing limits it."""
        return float(self.limit.partition("@")[2] or 0)


class Found(NamedTuple):
    """What a run came to."""

    params: int
    accuracy: float
    n: int
    family: str
    start: str
    command: str


@contextlib.contextmanager
def folder_of(name: str, data: Path | None) -> Iterator[Path]:
    """The pictures as a folder of classes, which an older build reads too; names begin with their groups."""
    if data is not None:
        yield data
        return
    dataset = open_dataset(name)
    with tempfile.TemporaryDirectory() as scratch:
        for picture in dataset.pictures:
            place = Path(
                scratch, name, dataset.classes[picture.label], picture.name.replace("/", "-") + ".png"
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture.content)  # type: ignore[attr-defined]
        yield Path(scratch, name)


def run(command: Sequence[str], cwd: Path) -> str:
    """Standard output of a process; what it says otherwise goes on."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}; see above")
    return done.stdout


def fit(case: Case, data: Path, python: str) -> Found:
    """`smidgen fit` in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--seed", str(case.seed), "--budget", case.budget, "--time", f"{case.minutes:g}m"]
        group = GROUPS[case.set]
        options += ["--group-by", group] if group else []
        run([python, "-m", "smidgen", "fit", str(data), *options, "--out", "run", "--json"], Path(scratch))
        report = json.loads(Path(scratch, "run", "report.json").read_text("utf-8"))
    start, test = report.get("starting_point") or {}, report["test"]
    return Found(
        report["cost"]["params"], test["accuracy"], test["n"], report["network"]["family"] or "",
        start.get("kind", ""), shlex.join(["smidgen", "fit", data.name, *options]),
    )  # fmt: skip


# ── features and a logistic regression ───────────────────────────────────────────────────────────────


def material_of(case: Case, data: Path) -> Material:
    """The data, split as `fit` splits it."""
    return prepare(str(data), seed=case.seed, group_by=GROUPS[case.set], watch=Watch())


def pooled(material: Material, part: Part) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What Lite0 hands to its last layer for each picture: float32[N, 1280], and the labels."""
    import torch

    from smidgen.images import normalise
    from smidgen.weights import published_network

    network = published_network("efficientnet_lite0")
    model = smidgen.create("efficientnet_lite0", weights="imagenet").eval()
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    heard: list[torch.Tensor] = []
    last.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    examples = material.pixels(part, Watch(), network)
    with torch.inference_mode():
        for start in range(0, len(examples.labels), 32):
            batch = normalise(np.ascontiguousarray(examples.pictures[start : start + 32]), network.preprocess)
            model(torch.from_numpy(batch))
    return torch.cat(heard).numpy(), examples.labels


def regression(
    x: NDArray[np.float32], labels: NDArray[np.int64], classes: int, decay: float
) -> NDArray[np.float32]:
    """Weights of a logistic regression, float32[features + 1, classes]; the last row is the bias."""
    import torch

    inputs, target = torch.from_numpy(x), torch.from_numpy(labels)
    weights = torch.zeros(x.shape[1] + 1, classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = inputs @ weights[:-1] + weights[-1]
        loss = torch.nn.functional.cross_entropy(logits, target) + decay / 2 * weights[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found: NDArray[np.float32] = weights.detach().numpy()
    return found


def right(weights: NDArray[np.float32], x: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of pictures whose class it names."""
    return float(((x @ weights[:-1] + weights[-1]).argmax(1) == labels).mean())


def features(case: Case, data: Path, _python: str) -> Found:
    """Lite0's pooled features and the regression that the validation part likes best."""
    material = material_of(case, data)
    (train, seen), (val, between), (test, held) = (
        pooled(material, part) for part in ("train", "val", "test")
    )
    mean, std = train.mean(0), train.std(0) + 1e-6
    train, val, test = ((part - mean) / std for part in (train, val, test))
    classes = len(material.dataset.classes)
    found = [regression(train, seen, classes, decay) for decay in STRENGTHS]
    best = max(found, key=lambda weights: right(weights, val, between))
    params = smidgen.network("efficientnet_lite0", num_classes=classes).cost().params
    return Found(params, right(best, test, held), len(held), "efficientnet", "features", "")


# ── the smallest YOLO classifier ─────────────────────────────────────────────────────────────────────


def yolo(case: Case, data: Path, python: str) -> Found:
    """From scratch, at the picture size that the way's name ends with; the best epoch by its own rule."""
    size, material = case.way.removeprefix("yolo"), material_of(case, data)
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("train", "val", "test"):
            lay(material, part, Path(scratch, "data", part))
        arguments = [str(Path(scratch, "data")), size, str(case.minutes / 60), str(case.seed), scratch]
        row = json.loads(run([python, "-c", YOLO, *arguments], Path(scratch)).strip().splitlines()[-1])
    return Found(
        row["params"], row["test"], len(material.split.test), "yolo", "scratch", f"val {row['val']:.4f}"
    )


def lay(material: Material, part: Part, folder: Path) -> None:
    """The pictures of a part as PNG files, transparency laid on white, a folder for each class."""
    from PIL import Image

    for index in part_of(material.split, part):
        picture = material.dataset.pictures[index]
        place = folder / material.dataset.classes[picture.label] / f"{index:05}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.read(3)).save(place)


# ── rows and what they say ───────────────────────────────────────────────────────────────────────────


def cases(given: argparse.Namespace) -> list[Case]:
    """All rows that were asked for, a split after the other."""
    if given.way == "features":
        return [Case(given.set, "features", seed) for seed in given.seeds]
    ways = [f"yolo{size}" for size in given.sizes] if given.way == "yolo" else [given.way]
    return [
        Case(given.set, way, seed, limit) for seed in given.seeds for limit in given.limits for way in ways
    ]


def read() -> dict[Case, dict[str, str]]:
    """Rows that are there."""
    if not FILE.exists():
        return {}
    with FILE.open(newline="", encoding="utf-8") as file:
        return {
            Case(row["set"], row["way"], int(row["seed"]), row["limit"]): row for row in csv.DictReader(file)
        }


def make(wanted: Sequence[Case], data: Path, python: str, minutes: float) -> None:
    """Make the rows that are missing, until the minutes are over."""
    until = time.monotonic() + 60 * minutes
    for case in wanted:
        if case in read():
            continue
        if time.monotonic() > until:
            return
        work = yolo if case.way.startswith("yolo") else features if case.way == "features" else fit
        began = time.monotonic()
        found = work(case, data, python)
        took = (time.monotonic() - began) / 60
        row = (*case, case.budget, found.params, case.minutes, round(took, 2), *found[1:])
        append(FILE, COLUMNS, row)
        print(*row, flush=True)


def difference(better: Sequence[float], worse: Sequence[float]) -> str:
    """Mean of paired differences in points, with its 95 % interval."""
    points = [100 * (one - other) for one, other in zip(better, worse, strict=True)]
    mean = statistics.mean(points)
    if not 2 <= len(points) <= len(T95):
        return f"{mean:+.1f} (n = {len(points)})"
    reach = T95[len(points) - 1] * statistics.stdev(points) / math.sqrt(len(points))
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f}, n = {len(points)})"


class Bar(NamedTuple):
    """The least by which a way and limit must lie above another, in points."""

    set: str
    limit: str
    points: float
    rival: str
    rival_limit: str


# Issue 17, bars 1 and 2
BARS = (
    Bar("emoji", "params=200k@10", 14, "old", "params=200k@10"),
    Bar("emoji", "params=200k@10", 14, "yolo", ""),
    Bar("emoji", "params=60k@5", 12, "old", "params=200k@10"),
    Bar("photographs", "params=4M@5", 0, "features", ""),
    Bar("photographs", "params=800k@5", -5, "features", ""),
    Bar("photographs", "params=260k@5", -12, "features", ""),
    Bar("photographs", "params=60k@5", -18, "features", ""),
)


def accuracies(rows: dict[Case, dict[str, str]], name: str, way: str, limit: str) -> dict[int, float]:
    """Accuracy by seed."""
    asked = (name, way, limit)
    return {
        c.seed: float(row["test_accuracy"]) for c, row in rows.items() if (c.set, c.way, c.limit) == asked
    }


def rival(rows: dict[Case, dict[str, str]], bar: Bar) -> dict[int, float]:
    """The rival's accuracies; of a YOLO those of the picture size with the best mean."""
    if bar.rival != "yolo":
        return accuracies(rows, bar.set, bar.rival, bar.rival_limit)
    ways = {(case.way, case.limit) for case in rows if case.set == bar.set and case.way.startswith("yolo")}
    found = [accuracies(rows, bar.set, *way) for way in sorted(ways)]
    return max(found, key=lambda one: statistics.mean(one.values()), default={})


def summary() -> None:
    """Means of all ways, and each bar."""
    rows = read()
    for key in sorted({(case.set, case.way, case.limit) for case in rows}):
        values = [100 * value for value in accuracies(rows, *key).values()]
        print(f"{' '.join(key):44} {statistics.mean(values):5.1f} %  n = {len(values)}")
    for bar in BARS:
        ours, theirs = accuracies(rows, bar.set, "fit", bar.limit), rival(rows, bar)
        seeds = sorted(ours.keys() & theirs.keys())
        told, verdict = "no rows", "missing"
        if seeds:
            pairs = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
            told = difference(*pairs)
            verdict = (
                "holds"
                if 100 * (statistics.mean(pairs[0]) - statistics.mean(pairs[1])) >= bar.points
                else "FAILS"
            )
        print(f"{bar.set} {bar.limit} over {bar.rival}, at least {bar.points:+g}: {told}: {verdict}")


def plot(place: Path, name: str) -> None:
    """Accuracy against parameters, a mark a run, a colour a way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    rows = [row for case, row in read().items() if case.set == name]
    for way in sorted({row["way"] for row in rows}):
        points = [
            (int(row["params"]), 100 * float(row["test_accuracy"])) for row in rows if row["way"] == way
        ]
        axes.plot(*zip(*sorted(points), strict=True), "o", label=way)
    axes.set(xscale="log", xlabel="parameters", ylabel="test accuracy, %", title=name)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(place, dpi=150, bbox_inches="tight")


def main() -> None:
    """Make rows, or tell them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", choices=GROUPS)
    parser.add_argument("--data", type=Path, help="folder of photographs, or of the emoji")
    parser.add_argument("--way", choices=("fit", "old", "features", "yolo"), default="fit")
    parser.add_argument("--limits", nargs="+", default=[], metavar="BUDGET@MINUTES")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128], help="pictures of the YOLO")
    parser.add_argument("--python", default=sys.executable, help="that runs `fit` or the YOLO")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no row after so many")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    if given.set == "photographs" and given.data is None and not (given.summary or given.plot):
        parser.error("photographs need --data FOLDER")
    if given.summary:
        summary()
    if given.plot:
        plot(given.plot, given.set)
    if not (given.summary or given.plot):
        with folder_of(given.set, given.data) as data:
            make(cases(given), data.absolute(), str(Path(given.python).absolute()), given.minutes)


if __name__ == "__main__":
    main()
