"""Which of two is better, and how sure that is: a paired bootstrap over seeds and pictures.

Both networks of a pair were trained with the same seeds and judged on the same pictures; seeds and pictures
are drawn anew independently of each other (Owen 2007, arXiv:0712.1111: with two crossed sources of chance
this errs on the wide side). Few seeds would make the interval too narrow, so its percentiles are moved
outwards (Hesterberg 2015, arXiv:1411.5279, section 3.3: the expanded percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Difference", "difference", "winners"]

DRAWS = 10_000
_AT_ONCE = 500

# Student's t, two-sided 95 %, for 1, 2, … degrees of freedom (NIST/SEMATECH handbook, 1.3.6.7.2).
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
_Z = 1.960  # beyond the table


class Difference(NamedTuple):
    """First minus second, as fractions of the pictures, with the 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What can be said: better, worse, or no difference found."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference found"


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compare two networks that were trained alike.

    first, second  bool[seeds, pictures], whether the answer was right; rows and columns belong together
    With one seed the interval knows the chance of the pictures alone.
    """
    gaps = first.astype(np.float64) - second.astype(np.float64)
    draws = np.concatenate(list(_resampled(gaps[None])))[:, 0]
    tail = _tail(len(gaps))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Difference(float(gaps.mean()), float(low), float(high))


def winners(right: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Share of the resamples in which each has the highest accuracy, best first; ties are shared.

    right  by name: bool[seeds, pictures], rows and columns belonging together
    """
    stacked = np.stack([rows.astype(np.float64) for rows in right.values()])
    draws = np.concatenate(list(_resampled(stacked)))
    tops = draws >= draws.max(1, keepdims=True) - 1e-12
    shares = (tops / tops.sum(1, keepdims=True)).mean(0)
    found = {name: float(share) for name, share in zip(right, shares, strict=True)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _resampled(values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Means over seeds and pictures, each drawn with replacement: float[_AT_ONCE, k] from float[k, S, P]."""
    random = np.random.default_rng(0)
    _, seeds, pictures = values.shape
    for _ in range(DRAWS // _AT_ONCE):
        rows, columns = _weights(random, seeds), _weights(random, pictures)
        yield np.stack([np.einsum("ds,ds->d", rows, columns @ each.T) for each in values], 1)


def _weights(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """How often each of so many is drawn, as shares: float[_AT_ONCE, count], rows that add up to 1."""
    drawn = random.integers(0, count, (_AT_ONCE, count)) + count * np.arange(_AT_ONCE)[:, None]
    times = np.bincount(drawn.ravel(), minlength=_AT_ONCE * count)
    return times.reshape(_AT_ONCE, count) / count


def _tail(seeds: int) -> float:
    """Share of the draws to leave out on each side for 95 %, smaller with fewer seeds."""
    if seeds < 2:
        return 0.025
    t = _T[seeds - 2] if seeds - 2 < len(_T) else _Z
    return NormalDist().cdf(-math.sqrt(seeds / (seeds - 1)) * t)
