"""Rivals against each other, in turns: what is measured, in which order, and what comes out."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smidgen import native
from smidgen.bench import rivals
from smidgen.bench.process import RivalError, Worker, cold_start
from smidgen.bench.worker import TIMED
from smidgen.export.depthwise import has_shifts
from smidgen.graph import Network
from smidgen.machine import cores, machine_name, processor_features

__all__ = ["INTERFERES", "OURS", "Bench", "Comparison", "Timing", "cold_request", "machine", "time_rivals"]

OURS = "smidgen"
TRIALS = 2  # turns of each setting, of which the least counts
COLD_STARTS, LONGEST_COLD = 5, 10_000.0  # of each rival; milliseconds after which one is not started again
INTERFERES = 0.10  # difference of turns and alone that is reported

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What rivals are timed on.

    model    file that all of them run
    network  in it
    folder   for what they read, and for a picture
    say      hears what is being done
    """

    model: Path
    network: Network
    threads: int
    folder: Path
    say: Say = lambda _line: None


@dataclass(frozen=True, slots=True)
class Timing:
    """One rival at one batch size.

    setting        the fastest of those that it has
    turns          milliseconds of the timed calls, a list for each round
    alone          the same with nobody else's turns in between
    against        our own turns in the same rounds
    peak_bytes     most memory that its process held
    library_bytes  of its native libraries that the process had loaded
    difference     of its outputs and ours: the largest, over our largest output
    cold           milliseconds of cold starts; empty where none was possible
    """

    rival: str
    version: str
    precision: str
    batch: int
    setting: str
    turns: list[list[float]]
    alone: list[list[float]]
    against: list[list[float]]
    peak_bytes: int
    library_bytes: int
    difference: float
    cold: list[float] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """Of all rounds, rising."""
        return sorted(ms for turn in self.turns for ms in turn)

    @property
    def median(self) -> float:
        """Milliseconds of a call."""
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        """Milliseconds under which 95 % of the calls stayed."""
        return float(np.percentile(self.times, 95))

    @property
    def alone_ms(self) -> float:
        """Milliseconds of a call, alone."""
        return statistics.median(ms for turn in self.alone for ms in turn)

    @property
    def cold_ms(self) -> float | None:
        """Milliseconds of a cold start."""
        return statistics.median(self.cold) if self.cold else None

    @property
    def ratios(self) -> list[float]:
        """Its time over ours, one a round."""
        pairs = zip(self.turns, self.against, strict=True)
        return [statistics.median(its) / statistics.median(our) for its, our in pairs]

    @property
    def pictures_per_second(self) -> float:
        """At the median."""
        return 1000 * self.batch / self.median

    @property
    def interferes(self) -> bool:
        """Whether turns and alone differ by more than noise."""
        return abs(self.median / self.alone_ms - 1) > INTERFERES

    @property
    def fewer(self) -> bool:
        """Whether calls took so long that turns have fewer of them."""
        return any(len(turn) < TIMED for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, those of a batch together, ours first.

    left_out  why a rival, or its cold start, does not appear
    """

    network: Network
    threads: int
    rows: list[Timing]
    left_out: Mapping[str, str]

    def of_batch(self, batch: int) -> list[Timing]:
        """Rows of one batch size."""
        return [row for row in self.rows if row.batch == batch]

    @property
    def batches(self) -> list[int]:
        """Sizes, in the order measured."""
        return list(dict.fromkeys(row.batch for row in self.rows))


def time_rivals(bench: Bench, names: Sequence[str], batches: Sequence[int], rounds: int) -> Comparison:
    """Let rivals take turns on a model file.

    names    of rivals that can run here; ours is added
    Raises   RivalError where our own engine fails.
    """
    left_out: dict[str, str] = {}
    rows: list[Timing] = []
    for batch in batches:
        present = [name for name in dict.fromkeys((OURS, *names)) if name not in left_out]
        rows += _Turns(bench, batch, left_out).rows(present, rounds)
    return Comparison(bench.network, bench.threads, _with_cold_starts(rows, bench, left_out), left_out)


@dataclass(frozen=True, slots=True)
class _Turns:
    """One batch size."""

    bench: Bench
    batch: int
    left_out: dict[str, str]

    def say(self, text: str) -> None:
        self.bench.say(f"batch {self.batch}: {text}")

    def rows(self, names: Sequence[str], rounds: int) -> list[Timing]:
        shape = (self.batch, *self.bench.network.input[:3])
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        workers: dict[str, Worker] = {}
        settings: dict[str, str] = {}
        with contextlib.ExitStack() as stack:
            for name in names:
                self.say(f"{name} loads")
                try:
                    settings[name] = self._fastest(name, x)
                    workers[name] = stack.enter_context(self._worker(name, settings[name], x))
                except RivalError as error:
                    if name == OURS:
                        raise
                    self.left_out[name] = str(error)
            turns: dict[str, list[list[float]]] = {name: [] for name in workers}
            for number in range(rounds):
                self.say(f"round {number + 1} of {rounds}")
                for name, worker in workers.items():
                    turns[name].append(worker.turn())
            self.say("each alone")
            alone = {name: [worker.turn() for _ in range(rounds)] for name, worker in workers.items()}
            ours = workers[OURS].answer
            return [
                Timing(
                    name,
                    *_identity(name),
                    self.batch,
                    settings[name],
                    turns[name],
                    alone[name],
                    turns[OURS],
                    *worker.memory(),
                    float(np.abs(worker.answer - ours).max() / np.abs(ours).max()),
                )
                for name, worker in workers.items()
            ]

    def _fastest(self, name: str, x: NDArray[np.float32]) -> str:
        """The rival's best setting, each tried in a process of its own."""
        settings = rivals.load(name).settings(has_shifts(self.bench.network))
        if len(settings) == 1:
            return settings[0]
        found: dict[str, float] = {}
        for setting in settings:
            self.say(f"{name} tries {setting}")
            with self._worker(name, setting, x) as worker:
                found[setting] = min(statistics.median(worker.turn()) for _ in range(TRIALS))
        return min(found, key=found.__getitem__)

    def _worker(self, name: str, setting: str, x: NDArray[np.float32]) -> Worker:
        artefact = rivals.load(name).artefact(self.bench.model, setting, self.batch, self.bench.folder)
        return Worker(name, artefact, setting, self.bench.threads, x)


def _identity(name: str) -> tuple[str, str]:
    """Version and precision."""
    rival = rivals.load(name)
    return metadata.version(rival.PACKAGE), rival.PRECISION


def _with_cold_starts(rows: Sequence[Timing], bench: Bench, left_out: dict[str, str]) -> list[Timing]:
    """The rows with each rival's cold starts, taken in turns, with the setting of its first row."""
    if bench.network.input.channels not in (1, 3):  # no picture has so many
        return list(rows)
    requests = {row.rival: cold_request(bench, row.rival, row.setting) for row in reversed(rows)}
    found: dict[str, list[float]] = {name: [] for name in requests}
    for number in range(COLD_STARTS):
        bench.say(f"cold start {number + 1} of {COLD_STARTS}")
        for name, request in requests.items():
            if f"cold start of {name}" in left_out or max(found[name], default=0.0) >= LONGEST_COLD:
                continue
            try:
                found[name].append(cold_start(request))
            except RivalError as error:  # what was measured in turns stands
                left_out[f"cold start of {name}"] = str(error)
    return [replace(row, cold=found[row.rival]) for row in rows]


def cold_request(bench: Bench, rival: str, setting: str) -> dict[str, Any]:
    """What `cold_start` is asked, about a picture that is drawn into the folder."""
    artefact = rivals.load(rival).artefact(bench.model, setting, 1, bench.folder)
    return {
        "rival": rival, "artefact": str(artefact),
        "setting": setting, "threads": bench.threads, "picture": str(_picture(bench.folder)),
        "shape": bench.network.input[:3], "preprocess": asdict(bench.network.preprocess),
    }  # fmt: skip


def _picture(folder: Path) -> Path:
    """A picture of 640 x 480 pixels, as smooth and as rough as photographs are."""
    path = folder / "picture.jpg"
    if not path.exists():
        generator, image = np.random.default_rng(0), np.zeros((480, 640, 3))
        for side in (4, 16, 64):
            grains = Image.fromarray(generator.integers(0, 256, (side, side, 3), np.uint8))
            image += np.asarray(grains.resize((640, 480), Image.Resampling.BICUBIC)) / 3
        Image.fromarray(image.astype(np.uint8)).save(path, quality=90)
    return path


def machine(threads: int) -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "processor": machine_name(),
        "features": processor_features(),
        "isa": "" if native.missing() else native.isa(),
        "threads": threads,
        "cores": cores(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.release()}",
    }
