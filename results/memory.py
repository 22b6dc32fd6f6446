"""Claim: `fit` stays inside the memory that a container gives it, or refuses in a line.

    python results/memory.py --gigabytes 4 2 --pictures 309 3000 --out results/memory.csv
    python results/memory.py --steps

Each run of `smidgen fit` is a process in a memory cgroup of its own (v1 or v2; root is needed), on colour
pictures of 195 x 150 in ten classes, made by this script, with a teacher where published weights are on the
machine, and without. The kernel kills what passes the limit; its own book tells the peak.
`--steps` compares the estimate of one training step with what a process really grew by.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rows import append

COLUMNS = (
    "date", "pictures", "teacher", "limit_mb", "time_s", "code", "killed", "peak_mb", "resident_mb", "took_s",
    "told",
)  # fmt: skip
CLASSES = 10
SIZE = (195, 150)

# Networks, side, batch and recipe of `--steps`.
STEPS = (
    ("efficientnet_lite0", 224, 16, "tuning"), ("efficientnet_lite0", 288, 32, "tuning"),
    ("efficientnet_b3", 96, 8, "tuning"), ("efficientnet_b0", 224, 8, "small"),
    ("efficientnet_b0", 96, 32, "small"), ("squeezenet1_1", 224, 16, "small"),
    ("squeezenet1_0_bypass", 64, 64, "small"), ("resnet20", 32, 64, "small"),
    ("resnet110", 32, 64, "small"), ("shiftresnet20_e3", 32, 64, "small"), ("shiftnet_b", 224, 8, "small"),
)  # fmt: skip
STEP = """
import dataclasses, sys
import numpy as np
import torch
from smidgen import families
from smidgen.machine import held_memory, peak_memory
from smidgen.modules import create
from smidgen.train.footprint import training_bytes
from smidgen.train.loop import Training
from smidgen.train.pixels import Examples, TrainingData
from smidgen.train.recipe import recipe
name, side, batch, plan = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), recipe(sys.argv[4])
torch.set_num_threads(1)
network = families.network(name, num_classes=10, resolution=side)
pictures = np.random.default_rng(0).integers(0, 256, (2 * batch, side, side, 3), dtype=np.uint8)
data = Examples(pictures, np.arange(2 * batch) % 10)
plan = dataclasses.replace(plan, batch_size=batch)
torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()
before = held_memory()
training = Training(create(network), plan, TrainingData(data, data, network.preprocess))
for batch in training._batches():
    training._update(batch)
print(training_bytes(network, plan), peak_memory() - before)
"""


def pictures(folder: Path, count: int) -> None:
    """Coloured bars of a direction and colour for each class, in noise."""
    draw = np.random.default_rng(0)
    width, height = SIZE
    rows, columns = np.mgrid[:height, :width]
    for number in range(count):
        label = number % CLASSES
        place = folder / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        angle = np.pi * label / CLASSES
        waves = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) / 6 + draw.uniform(0, 6))
        picture = (
            128 + 60 * waves[:, :, None] * (1, label / CLASSES, -1) + draw.normal(0, 40, (height, width, 3))
        )
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(place / f"{number:05d}.png")


@contextlib.contextmanager
def group(limit: int) -> Iterator[tuple[Path, str]]:
    """A memory cgroup of so many bytes: its folder, and the name of its book of the peak."""
    first = Path("/sys/fs/cgroup/memory")
    home, book, peak = (
        (first, "memory.limit_in_bytes", "memory.max_usage_in_bytes")
        if first.is_dir()
        else (Path("/sys/fs/cgroup"), "memory.max", "memory.peak")
    )
    place = home / f"smidgen-{os.getpid()}-{limit}"
    place.mkdir()
    try:
        (place / book).write_text(str(limit))
        yield place, peak
    finally:
        time.sleep(0.5)  # until the kernel has let the last process go
        place.rmdir()


def run(data: Path, out: Path, limit: int, teacher: bool, seconds: int) -> dict[str, object]:
    """One `fit` in a cgroup."""
    asked = ["fit", str(data), "--budget", "params=200k", "--time", f"{seconds}s", "--out", str(out)]
    asked += [] if teacher else ["--from-scratch"]
    with group(limit) as (place, peak):
        command = f"echo $$ > {place}/cgroup.procs && exec {sys.executable} -m smidgen {' '.join(asked)}"
        begun = time.monotonic()
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        took = time.monotonic() - begun
        used = int((place / peak).read_text())
    resident = None
    if (out / "report.json").exists():
        from smidgen import report

        source = report.read(out / "report.json")["provenance"]
        machine = source["machine"] if source else None
        resident = machine.get("memory_peak_bytes") if isinstance(machine, dict) else None
    words = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return {
        "code": done.returncode,
        "killed": done.returncode in (-9, 137),
        "peak_mb": used // 10**6,
        "resident_mb": None if resident is None else resident // 10**6,
        "took_s": round(took),
        "told": words[-1] if done.returncode else "; ".join(_of_memory(done.stdout)),
    }


def _of_memory(news: str) -> list[str]:
    """What was given up; of several networks alike, how many."""
    cut = [line.strip() for line in news.splitlines() if line.endswith(": memory")]
    others = [line.strip() for line in news.splitlines() if "no teacher" in line or "would not fit" in line]
    return [*others, *([f"{len(cut)} networks with batches in parts or smaller"] if cut else [])]


def steps() -> None:
    """Print estimate and growth of each training step."""
    for name, side, batch, plan in STEPS:
        command = [sys.executable, "-c", STEP, name, str(side), str(batch), plan]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        estimate, grown = map(int, told)
        print(
            f"{name} at {side}, batch {batch}, {plan}: {estimate / 1e6:,.0f} MB estimated, "
            f"{grown / 1e6:,.0f} MB grown, {estimate / grown:.2f}",
            flush=True,
        )


def main() -> None:
    """Write a row for each run; exit with 1 where one was killed or ended without a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[4, 2])
    parser.add_argument("--pictures", type=int, nargs="+", default=[309, 3000])
    parser.add_argument("--seconds", type=int, default=60, help="--time of each run")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.steps:
        steps()
        return
    bad = 0
    with tempfile.TemporaryDirectory(prefix="smidgen-memory-") as temporary:
        for count in arguments.pictures:
            data = Path(temporary, f"pictures{count}")
            pictures(data, count)
            for gigabytes in arguments.gigabytes:
                for teacher in (True, False):
                    out = Path(temporary, f"run-{count}-{gigabytes:g}-{teacher}")
                    limit = round(gigabytes * 10**9)
                    found = run(data, out, limit, teacher, arguments.seconds)
                    row = {
                        "date": datetime.datetime.now(datetime.UTC).date(), "pictures": count,
                        "teacher": "yes" if teacher else "no", "limit_mb": limit // 10**6,
                        "time_s": arguments.seconds, **found,
                    }  # fmt: skip
                    print(*(f"{name}={row[name]}" for name in COLUMNS[1:]), flush=True)
                    if arguments.out:
                        append(arguments.out, COLUMNS, [row[name] for name in COLUMNS])
                    bad += found["code"] not in (0, 2)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
