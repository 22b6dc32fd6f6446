"""What a budget can limit, in one table.

A row is all there is to a unit. Whatever reads budgets, solves them, writes or draws a report asks the row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never

from smidgen.spec.costs import Cost
from smidgen.spec.errors import BudgetError
from smidgen.spec.quantities import milliseconds, quantity
from smidgen.spec.words import shown

__all__ = ["LATENCY", "UNITS", "Costed", "Number", "Unit"]


class Number(enum.Enum):
    """What kind of number a limit is; a time is in milliseconds."""

    COUNT = enum.auto()
    BYTES = enum.auto()
    TIME = enum.auto()


class Costed(Protocol):
    """A network whose costs are counted when they are asked for.

    network  a `graph.Network`, which this layer does not know
    """

    network: Any

    @property
    def cost(self) -> Cost:
        """What is counted from the tree."""

    @property
    def milliseconds(self) -> float:
        """Time of one picture on the device that is meant."""

    def file_bytes(self, weights: Literal["float32", "int8"]) -> int:
        """Size of the model file with weights stored so."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a budget can limit.

    name          in budgets, reports and results
    number        what kind of number it is
    value         of a network
    title         over a column or a chapter of the report
    label         before the value on a terminal
    axis          under a drawing
    option        its name where people write a budget; default: `name`
    least         that each parameter adds to the value
    effort        of counting it: 0 comes with `Cost`, 1 sizes a file, 2 asks a device
    of_maps       whether smaller pictures and maps need less of it
    may_dip       whether it may fall, here and there, while a network grows
    needs_device  whether it is a device's, so that no tree alone tells it
    supposed      whether it is of a network that is not made yet: told only where it is limited
    """

    name: str
    number: Number
    value: Callable[[Costed], float]
    title: str
    label: str
    axis: str
    option: str = ""
    least: int = 0
    effort: int = 0
    of_maps: bool = False
    may_dip: bool = False
    needs_device: bool = False
    supposed: bool = False

    @property
    def written(self) -> str:
        """Its name where people write a budget."""
        return self.option or self.name

    def parse(self, text: str, spelt: str = "") -> float:
        """Read a limit: `200k`, `64KiB`, `2ms`.

        spelt    the name that it was given under; one that ends in the unit needs none behind the number
        Raises   BudgetError on anything else, or a count in bytes.
        """
        match self.number:
            case Number.TIME:
                bare = spelt not in ("", self.written) and text[-1:].isdigit()
                return milliseconds(f"{text}ms" if bare else text)
            case Number.COUNT if text[-1:] in ("b", "B"):
                limit = f"{self.written}={text}"
                raise BudgetError(
                    f"{limit!r:.60} is a size in bytes, but {self.name} are a count; leave out the B"
                )
            case Number.COUNT | Number.BYTES:
                return quantity(text)
            case _:
                assert_never(self.number)

    def format(self, value: float) -> str:
        """A value as a budget writes it: `1,000`, `2ms`."""
        return f"{shown(value)}ms" if self.number is Number.TIME else shown(value)

    def quote(self, value: float) -> str:
        """A limit or a cost as a budget writes it: `params=1,000`, `latency=2ms`."""
        return f"{self.written}={self.format(value)}"

    def check(self, limit: float) -> None:
        """Raise BudgetError unless this can be a limit."""
        timed = self.number is Number.TIME
        if not isinstance(limit, (int, float) if timed else int) or isinstance(limit, bool):
            kind = "number" if timed else "whole number"
            raise BudgetError(f"{self.name}={limit!r:.40}: a {kind} is needed; Budget.parse reads units")
        if not timed and limit <= 0:
            raise BudgetError(f"{self.name}={limit}: a limit must be at least 1")
        if timed and not 0 < limit < math.inf:  # nor NaN
            raise BudgetError(f"{self.name}={limit}: a time must be above 0, and finite")


LATENCY = Unit(
    "latency_ms",
    Number.TIME,
    lambda network: network.milliseconds,
    title="Latency",
    label="latency",
    axis="milliseconds per picture, predicted",
    option="latency",
    effort=2,
    of_maps=True,
    may_dip=True,
    needs_device=True,
)

UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        Unit(
            "params",
            Number.COUNT,
            lambda network: network.cost.params,
            title="Parameters",
            label="params",
            axis="parameters",
            least=1,
        ),
        Unit(
            "macs",
            Number.COUNT,
            lambda network: network.cost.macs,
            title="Multiply-adds",
            label="MACs",
            axis="multiply-adds per picture",
            of_maps=True,
        ),
        Unit(
            "weight_bytes",
            Number.BYTES,
            lambda network: network.file_bytes("float32"),
            title="Model file",
            label="model file",
            axis="bytes of the model file",
            least=4,
            effort=1,
        ),
        Unit(
            "int8_bytes",
            Number.BYTES,
            lambda network: network.file_bytes("int8"),
            title="Model file in int8, counted",
            label="if in int8",
            axis="bytes of the model file in int8, counted",
            least=1,
            effort=1,
            supposed=True,
        ),
        Unit(
            "peak_bytes",
            Number.BYTES,
            lambda network: network.cost.peak_bytes,
            title="Peak memory",
            label="peak memory",
            axis="bytes of peak memory",
            of_maps=True,
            may_dip=True,
        ),
        LATENCY,
    )
}
