"""Milliseconds of fused steps that were never timed, from those that were.

A rough estimate, arithmetic and memory traffic over the machine's peaks, says how a time grows. By what
factor it is wrong is then learnt for each kind of step: a Gaussian process over the logarithms of its sizes.

Source   Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, sections 2.2 and 4.2
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.program import Work

__all__ = ["Peaks", "StepModel"]

Numbers: TypeAlias = NDArray[np.floating[Any]]

REACH = 4.0  # distance at which two steps know little of each other; doubling a size is a step of 0.7
NOISE = 0.01  # of a time, as a share of what the process explains
LEAST_MS = 1e-4  # below it the clock's grain is all there is

START_MS = 2e-3  # of handing a step to the threads
EXPONENTIAL_NS = 0.3  # of an exponential in a vector
TAIL_NS = 1.0  # of a channel that fills no vector
RUN_NS = 1.0  # of fetching the channels of a run from a pixel's neighbour


class Peaks(NamedTuple):
    """What the estimate needs of a machine.

    gflops  of float32 multiply-adds, a multiply-add being two
    copies  GB/s of a copy, read and written together
    panel   columns of outputs that its kernels compute together
    """

    gflops: float
    copies: float
    panel: int


@dataclass(frozen=True, slots=True)
class _Learnt:
    """The factors of one kind of step: where they were measured, and how they are weighted."""

    places: Numbers
    weights: Numbers
    mean: float

    def at(self, places: Numbers) -> Numbers:
        return np.exp(self.mean + _covariance(places, self.places) @ self.weights)


class StepModel:
    """Time of any step on one machine.

    steps  those that were timed, with milliseconds
    """

    def __init__(self, steps: Mapping[Work, float], peaks: Peaks) -> None:
        self._peaks = peaks
        kinds: dict[str, list[Work]] = defaultdict(list)
        for step in steps:
            kinds[step.kind].append(step)
        logs = {step: math.log(max(ms, LEAST_MS) / self._estimate(step)) for step, ms in steps.items()}
        self._unknown = math.exp(float(np.median(list(logs.values())))) if logs else 1.0
        self._kinds = {kind: self._learn(found, logs) for kind, found in kinds.items()}

    def ms(self, steps: Iterable[Work]) -> float:
        """Milliseconds of all these steps together."""
        kinds: dict[str, list[Work]] = defaultdict(list)
        for step in steps:
            kinds[step.kind].append(step)
        total = 0.0
        for kind, found in kinds.items():
            estimates = np.array([self._estimate(step) for step in found])
            learnt = self._kinds.get(kind)
            factors = learnt.at(self._places(found)) if learnt else self._unknown
            total += float((estimates * factors).sum())
        return total

    def _learn(self, steps: Sequence[Work], logs: Mapping[Work, float]) -> _Learnt:
        places, values = self._places(steps), np.array([logs[step] for step in steps])
        mean = float(values.mean())
        known = _covariance(places, places) + NOISE * np.eye(len(places))
        weights: Numbers = np.linalg.solve(known, values - mean)
        return _Learnt(places, weights, mean)

    def _places(self, steps: Sequence[Work]) -> Numbers:
        return np.array([self._place(step) for step in steps])

    def _place(self, step: Work) -> tuple[float, ...]:
        """Where a step lies among its kind; a window's size counts twice, for it is squared in the work."""
        sizes = (
            step.c_in, step.c_out, step.pixels, step.kernel**2, step.stride**2,
            1 + step.narrow, 1 + step.runs, self._columns(step) / step.c_out,
        )  # fmt: skip
        flags = (_exponentials(step) > 0, step.before, step.gated, step.added, step.planar)
        return (*map(math.log, sizes), *map(float, flags))

    def _columns(self, step: Work) -> int:
        return -(-step.c_out // self._peaks.panel) * self._peaks.panel

    def _estimate(self, step: Work) -> float:
        """Milliseconds as arithmetic and memory traffic alone would have them."""
        return (
            START_MS
            + 2e-6 * self._macs(step) / self._peaks.gflops
            + 4e-6 * _numbers(step) / self._peaks.copies
            + 1e-6 * EXPONENTIAL_NS * _exponentials(step)
            + 1e-6 * RUN_NS * step.pixels * step.runs
            + 1e-6 * TAIL_NS * step.pixels * (step.c_out % (self._peaks.panel // 2)) * (1 + step.added)
        )

    def _macs(self, step: Work) -> float:
        """Multiply-adds as the kernels do them: whole panels, Winograd's way a quarter of them."""
        window, columns = step.kernel**2, self._columns(step)
        match step.kind:
            case "conv":
                return step.pixels * step.c_in * columns * window
            case "winograd":
                return step.pixels * step.c_in * columns * window / 4
            case "depthwise":
                return step.pixels * columns * (window + step.stride**2 * step.narrow)
            case _:
                return step.pixels * step.c_out * window


def _numbers(step: Work) -> float:
    """Numbers that are read and written: maps and weights."""
    read = step.pixels * step.stride**2 * (step.narrow or step.c_in)
    written = step.pixels * step.c_out * (1 + step.added)
    match step.kind:
        case "conv" | "winograd":
            weights = step.c_in * step.c_out * step.kernel**2
        case "depthwise":
            weights = step.c_out * (step.kernel**2 + step.narrow)
        case _:
            weights = 0
    return read + written + weights


def _exponentials(step: Work) -> int:
    """How many are taken: for each output, and for what an expansion makes."""
    if step.activation not in ("silu", "sigmoid"):
        return 0
    expanded = step.stride**2 if step.narrow else 0
    return step.pixels * step.c_out * (1 + expanded)


def _covariance(a: Numbers, b: Numbers) -> Numbers:
    """Of the process at two lists of places: Matérn's, once differentiable."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    distances = np.sqrt(3 * np.maximum(squares, 0)) / REACH
    result: Numbers = (1 + distances) * np.exp(-distances)
    return result
