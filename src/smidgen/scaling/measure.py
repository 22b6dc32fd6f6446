"""Time the fused steps of many networks on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import smidgen
from smidgen import native
from smidgen.download import cache_folder
from smidgen.engine import Engine
from smidgen.families import Request, families, realise
from smidgen.graph import Network
from smidgen.machine import cores, machine_name
from smidgen.native.network import padded
from smidgen.program import Work, draw_weights
from smidgen.scaling import device as device_file
from smidgen.scaling.device import Device, DeviceError
from smidgen.scaling.latency import Peaks
from smidgen.spec import SmidgenError
from smidgen.watch import Watch

__all__ = [
    "HELD",
    "NETWORKS",
    "ROUNDS",
    "device_for",
    "drawn_networks",
    "keep",
    "kept_at",
    "known",
    "measure_device",
    "quietest",
    "this_machine",
]

NETWORKS = 400
HELD = 40  # more, that nothing is learnt from, tell how far predictions are off
MOST_STEPS = 2000  # of a kind: learning from them takes time with the third power
MOST_MACS = 4 * 10**8
SIDES = (8, 16, 24, 28, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224)
CLASSES = (2, 10, 37, 100, 1000)
WIDTHS, DEPTHS = (0.12, 2.5), (0.2, 4.0)  # of the families' baselines

SECONDS = 0.03  # for each of the two series of a network, of its steps and of the whole
FEWEST_CALLS, MOST_CALLS = 9, 200
ROUNDS = 3  # through all networks: what else runs may disturb one of them


class Timed(NamedTuple):
    """One network: milliseconds of each step, and of a whole call."""

    network: Network
    steps: list[tuple[Work, float]]
    ms: float


def this_machine(threads: int | None = None, watch: Watch | None = None) -> Device:
    """The device that this is: measured at the first call, which takes some minutes, and kept in the cache.

    threads  that a prediction uses; default: the cores that this process may use
    Raises   DeviceError without the native kernels.
    """
    found = known(threads)
    if found is None:
        found = measure_device(threads, watch)
        with contextlib.suppress(DeviceError):  # a cache that cannot be written costs the next one its time
            keep(found)
    return found


def _require_kernels() -> None:
    """Raise DeviceError without the native kernels: the interpreter's times say nothing."""
    if missing := native.missing():
        raise DeviceError(f"latencies are measured on the native kernels only; {missing}")


def known(threads: int | None = None) -> Device | None:
    """The device that this machine is, where it was measured before with these kernels; else None.

    Raises   DeviceError without the native kernels.
    """
    _require_kernels()
    try:
        found = device_file.read(kept_at(threads))
    except DeviceError:  # not there, or damaged: then it is measured anew
        return None
    return found if found.here else None


def keep(device: Device) -> None:
    """Put this machine into the cache. Raises DeviceError where that cannot be written."""
    device_file.write(kept_at(device.threads), device)


def kept_at(threads: int | None) -> Path:
    """Place of this machine's file in the cache."""
    return cache_folder() / "devices" / f"{native.isa()}-{threads or cores()}-{native.fingerprint()}.json"


def measure_device(
    threads: int | None = None, watch: Watch | None = None, networks: int = NETWORKS, held: int = HELD
) -> Device:
    """Time the steps of so many networks, drawn from all families at all sizes, with random weights.

    Raises   DeviceError without the native kernels.
    """
    _require_kernels()
    threads = threads or cores()
    peaks = Peaks(native.arithmetic(threads), native.copies(threads), padded(1))
    drawn = list(itertools.islice(drawn_networks(seed=0), networks + held))
    times = quietest(drawn, threads, watch)
    found, unseen = times[:networks], times[networks:]
    call_ms, input_ns, share = _calls(found)
    device = Device(
        machine=machine_name(),
        isa=native.isa(),
        threads=threads,
        library=native.fingerprint(),
        peaks=peaks,
        call_ms=call_ms,
        input_ns=input_ns,
        share=share,
        error=1.0,
        late=1.0,
        steps=_thinned(found),
        made={
            "smidgen": smidgen.__version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
    longer = np.array([one.ms / device.predicted_ms(one.network) - 1 for one in unseen])
    error, late = np.quantile(abs(longer), 0.9), np.quantile(longer, 0.95)
    return dataclasses.replace(device, error=round(float(error), 4), late=round(max(0.0, float(late)), 4))


def device_for(path: Path | None, watch: Watch | None = None) -> Device:
    """The device of a file, or this machine. Raises DeviceError as `device.read` and `this_machine`."""
    return this_machine(watch=watch) if path is None else device_file.read(path)


def drawn_networks(seed: int) -> Iterator[Network]:
    """Networks of every family in turn, without end: widths, depths, pictures and classes at random."""
    generator = random.Random(seed)
    while True:
        for family in families().values():
            side, classes = generator.choice(SIDES), generator.choice(CLASSES)
            width = math.exp(generator.uniform(*map(math.log, WIDTHS)))
            depth = generator.uniform(*DEPTHS)
            request = Request(classes, generator.choice((1, 3)), side)
            name = f"{family.name}_w{width:.2f}_d{depth:.2f}_{side}"
            try:
                network = realise(family, family.scaled(width, depth, side), name, request)
            except SmidgenError:  # pictures too small for so deep a network
                continue
            if network.cost().macs <= MOST_MACS:
                yield network


def quietest(networks: Sequence[Network], threads: int, watch: Watch | None = None) -> list[Timed]:
    """The least times of each network, and of each of its steps, in several rounds through all of them."""
    found: list[Timed] = []
    with (watch or Watch()).progress("timing networks") as report:
        for done in range(ROUNDS * len(networks)):
            number = done % len(networks)
            now = _timed(networks[number], threads)
            if done < len(networks):
                found.append(now)
            else:
                found[number] = _quieter(found[number], now)
            report(done + 1, ROUNDS * len(networks))
    return found


def _quieter(a: Timed, b: Timed) -> Timed:
    steps = [(step, min(ms, other)) for (step, ms), (_, other) in zip(a.steps, b.steps, strict=True)]
    return Timed(a.network, steps, min(a.ms, b.ms))


def _timed(network: Network, threads: int) -> Timed:
    """The median of a series of calls, for each step and for the whole."""
    engine = Engine((network, draw_weights(network)), threads=threads)
    x = np.random.default_rng(0).standard_normal((1, *network.input[:3]), np.float32)
    engine(x)
    calls = round(min(max(SECONDS / _seconds(engine, x), FEWEST_CALLS), MOST_CALLS))
    steps = [(step.work, step.ms) for step in engine.profile(x, calls)]
    return Timed(network, steps, 1000 * float(np.median([_seconds(engine, x) for _ in range(calls)])))


def _seconds(engine: Engine, x: NDArray[np.float32]) -> float:
    begun = time.perf_counter()
    engine(x)
    return time.perf_counter() - begun


def _calls(found: list[Timed]) -> tuple[float, float, float]:
    """Milliseconds of a call, nanoseconds for each number of its input, and time of a network over that of
    its steps: least absolute relative errors, by least squares weighted anew.
    """
    ms = np.array([one.ms for one in found])
    inputs = [1e-6 * one.network.input.numel for one in found]
    causes = np.stack([np.ones(len(found)), inputs, [sum(ms for _, ms in one.steps) for one in found]], 1)
    weights = 1 / ms
    for _ in range(20):
        answer = _not_negative(causes * weights[:, None], ms * weights)
        errors = np.abs(causes @ answer / ms - 1)
        weights = 1 / (ms * np.sqrt(np.maximum(errors, 0.01)))
    call_ms, input_ns, share = map(float, answer)
    return (call_ms, input_ns, share) if share > 0 else (0.0, 0.0, 1.0)


def _not_negative(causes: NDArray[np.float64], effects: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares; what would be less than nothing is left out."""
    kept = list(range(causes.shape[1]))
    answer = np.zeros(causes.shape[1])
    while kept:
        answer[:] = 0
        answer[kept] = np.linalg.lstsq(causes[:, kept], effects, rcond=None)[0]
        if answer.min() >= 0:
            break
        kept.remove(int(answer.argmin()))
    return np.maximum(answer, 0)


def _thinned(found: list[Timed]) -> dict[Work, float]:
    """The median time of each step that came, at most MOST_STEPS of a kind."""
    times: dict[Work, list[float]] = {}
    for one in found:
        for step, ms in one.steps:
            times.setdefault(step, []).append(ms)
    steps = list(times)
    random.Random(0).shuffle(steps)
    kept: dict[str, int] = {}
    result = {}
    for step in steps:
        kept[step.kind] = kept.get(step.kind, 0) + 1
        if kept[step.kind] <= MOST_STEPS:
            result[step] = float(np.median(times[step]))
    return result
