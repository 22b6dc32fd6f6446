"""Rules of scaling: from one exponent φ to multipliers of depth, width and resolution.

Every rule answers the same question, so whatever scales by one scales by all of them.

Sources   Tan & Le 2019, arXiv:1905.11946, section 3.3, for the compound rule and the single axes;
          Han et al. 2020, arXiv:2010.14819, for TinyNet
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

from smidgen.scaling.tinynet import shrunk
from smidgen.spec import SmidgenError, UnknownNameError, closest

__all__ = [
    "DEPTH",
    "PAPER",
    "RESOLUTION",
    "RULES",
    "TARGET",
    "TOLERANCE",
    "WIDTH",
    "Multipliers",
    "Rule",
    "Scaling",
    "TinyNet",
    "candidates",
    "rule_named",
]

TARGET = 2.0  # growth of the multiply-adds for each unit of φ
TOLERANCE = 0.1  # around it; the paper's own α·β²·γ² is 1.92
FINEST_STEP = 0.01  # of the lattice of candidates; finer ones have millions of points
LARGEST_FACTOR = 100.0  # EfficientNet-L2, the largest published, is 5.3 times as deep


class Multipliers(NamedTuple):
    """What a rule makes of the baseline: factors of its repeats, its channels and its picture's side."""

    depth: float
    width: float
    resolution: float


class Scaling(Protocol):
    """A rule of scaling; at a larger φ no multiplier may be smaller."""

    def check(self, unconstrained: bool = False) -> None:
        """Raise SmidgenError where something shrinks as φ grows, or a constraint of the rule is broken."""

    def multipliers(self, phi: float) -> Multipliers:
        """Factors at φ, each unit of which about doubles the multiply-adds.

        Raises   SmidgenError where φ is not finite, or a factor passes LARGEST_FACTOR.
        """


@dataclass(frozen=True, slots=True)
class Rule:
    """Growth of depth (alpha), width (beta) and resolution (gamma) for each unit of φ."""

    alpha: float
    beta: float
    gamma: float

    @property
    def doubling(self) -> float:
        """Growth of the multiply-adds for each unit of φ: α·β²·γ²."""
        return self.alpha * self.beta * self.beta * self.gamma * self.gamma

    def check(self, unconstrained: bool = False) -> None:
        """Raise SmidgenError unless each is at least 1 and, if not `unconstrained`, α·β²·γ² ≈ 2."""
        if not all(1 <= factor < math.inf for factor in (self.alpha, self.beta, self.gamma)):  # nor NaN
            raise SmidgenError(
                f"alpha={self.alpha}, beta={self.beta}, gamma={self.gamma}: each must be at least 1"
            )
        if abs(self.doubling - TARGET) > TOLERANCE and not unconstrained:
            raise SmidgenError(
                f"alpha·beta²·gamma² is {self.doubling:.3f}; compound scaling needs "
                f"{TARGET:g} ± {TOLERANCE:g}; unconstrained (--unconstrained) insists"
            )

    def multipliers(self, phi: float) -> Multipliers:
        """Powers α^φ, β^φ, γ^φ; errors as `Scaling`."""
        bases = (self.alpha, self.beta, self.gamma)
        # In logarithms nothing overflows.
        _require_range(phi, max(phi * math.log(base) for base in bases))
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)


@dataclass(frozen=True, slots=True)
class TinyNet:
    """TinyNet's shrinking formula: w = sqrt(c / (r²·d)) with c = 2^φ; see `tinynet.shrunk`."""

    def check(self, unconstrained: bool = False) -> None:
        """Nothing can be wrong: the formula has no parameters."""

    def multipliers(self, phi: float) -> Multipliers:
        """Factors of the formula; errors as `Scaling`."""
        _require_range(phi, 0.5 * phi * math.log(2))  # above TinyNet-A the width alone grows
        return Multipliers(*shrunk(phi))


def _require_range(phi: float, logarithm: float) -> None:
    if not math.isfinite(phi):
        raise SmidgenError(f"phi={phi}: a finite number is needed")
    if logarithm > math.log(LARGEST_FACTOR):
        raise SmidgenError(f"phi={phi:g} is out of range: no axis may grow more than {LARGEST_FACTOR:g}-fold")


PAPER = Rule(alpha=1.2, beta=1.1, gamma=1.15)

# One axis alone, at the same growth of the multiply-adds (Tan & Le 2019, Figures 2 and 3).
WIDTH = Rule(alpha=1.0, beta=math.sqrt(2), gamma=1.0)
DEPTH = Rule(alpha=2.0, beta=1.0, gamma=1.0)
RESOLUTION = Rule(alpha=1.0, beta=1.0, gamma=math.sqrt(2))

RULES: Mapping[str, Scaling] = MappingProxyType(
    {"compound": PAPER, "width": WIDTH, "depth": DEPTH, "resolution": RESOLUTION, "tinynet": TinyNet()}
)


def rule_named(name: str) -> Scaling:
    """Rule of that name; raises UnknownNameError."""
    if name not in RULES:
        raise UnknownNameError(f"no rule '{name}'; {closest(name, RULES)}there are {', '.join(RULES)}")
    return RULES[name]


def candidates(target: float = TARGET, step: float = 0.05, tolerance: float = TOLERANCE) -> tuple[Rule, ...]:
    """The rules on a lattice that meet the constraint α·β²·γ² = target ± tolerance, in lexical order.

    step      between neighbours on each axis; every axis starts at 1
    Raises    SmidgenError where a number is out of range.
    The paper's grid is not published; its result (1.2, 1.1, 1.15) lies on this one.
    """
    if not (1 <= target <= LARGEST_FACTOR and FINEST_STEP <= step <= 1 and 0 <= tolerance < target):
        raise SmidgenError(
            f"target={target}, step={step}, tolerance={tolerance}: needed are a target in "
            f"1..{LARGEST_FACTOR:g}, a step in {FINEST_STEP}..1 and a tolerance from 0 to below the target"
        )
    most = target + tolerance
    return tuple(
        rule
        for alpha in _axis(step, most)
        for beta in _axis(step, math.sqrt(most / alpha))
        for gamma in _axis(step, math.sqrt(most / alpha) / beta)
        if abs((rule := Rule(alpha, beta, gamma)).doubling - target) <= tolerance + 1e-9
    )


def _axis(step: float, most: float) -> Iterator[float]:
    """1, 1 + step, … up to `most`, without the noise of adding floats."""
    for count in itertools.count():
        factor = round(1 + count * step, 9)
        if factor > most + 1e-9:
            return
        yield factor
