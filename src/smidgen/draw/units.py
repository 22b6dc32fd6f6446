"""Blocks as a reader counts them, and runs of like blocks as rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from smidgen.spec import Shape

__all__ = ["Kind", "Row", "Unit", "rows"]

Kind = Literal["conv", "block", "shift", "pool", "head", "ghost"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One block or operation in place.

    name      without stride and channels: `MBConv6 5x5`, `3x3 conv`
    channels  whether the width of the output belongs into the title
    stride    of the main branch
    skip      what runs beside the main branch: "", "skip", "1x1 shortcut", "concat average pool", …
    stage     path of the chain whose children are all alike, else ""
    """

    path: str
    name: str
    kind: Kind
    x: Shape
    out: Shape
    params: int
    macs: int
    channels: bool = True
    stride: int = 1
    details: tuple[str, ...] = ()
    skip: str = ""
    stage: str = ""

    @property
    def alike(self) -> tuple[object, ...]:
        """Equal for the blocks of one stage; the first may differ in stride, input and shortcut."""
        return self.name, self.kind, self.details, self.out

    def title(self) -> str:
        """`MBConv6 5x5 /2, 40`."""
        text = self.name + (f" /{self.stride}" if self.stride > 1 else "")
        return f"{text}, {self.out.channels}" if self.channels else text


@dataclass(frozen=True, slots=True)
class Row:
    """Like units one after the other: a box of the figure."""

    units: tuple[Unit, ...]

    @property
    def first(self) -> Unit:
        """The unit that the others follow; the only one that may have a stride."""
        return self.units[0]

    @property
    def out(self) -> Shape:
        """Shape after the last unit."""
        return self.units[-1].out

    @property
    def params(self) -> int:
        """Parameters of all units."""
        return sum(unit.params for unit in self.units)

    @property
    def macs(self) -> int:
        """Multiply-adds of all units."""
        return sum(unit.macs for unit in self.units)

    @property
    def path(self) -> str:
        """Where in the tree the row lies."""
        return self.first.path if len(self.units) == 1 else f"{self.first.path} … {self.units[-1].path}"

    def title(self) -> str:
        """Title of the first unit, its stride left to the details where others follow."""
        one = self.first if len(self.units) == 1 else dataclasses.replace(self.first, stride=1)
        return one.title()

    def details(self) -> str:
        """What the title leaves out, most important first."""
        return " · ".join((*self.first.details, *self._skips()))

    def _skips(self) -> tuple[str, ...]:
        first, rest = self.first, self.units[1:]
        if not rest:
            return (first.skip,) if first.skip else ()
        later = rest[0].skip
        if first.stride == 1 and first.skip == later:
            return (later,) if later else ()
        start = (
            f"first /{first.stride}" if first.stride > 1 else f"first {first.x.channels}→{first.out.channels}"
        )
        start += f", {first.skip}" if first.skip else ""
        return (f"{start}; then {later}",) if later else (start,)


def rows(found: tuple[Unit, ...], whole_stages: bool = True) -> tuple[Row, ...]:
    """Runs of equal units; with `whole_stages` also those of a stage whose first unit differs."""
    runs: list[list[Unit]] = []
    for unit in found:
        if runs and _joins(runs[-1][-1], unit, whole_stages):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return tuple(Row(tuple(run)) for run in runs)


def _joins(before: Unit, unit: Unit, whole_stages: bool) -> bool:
    if whole_stages and unit.stage and unit.stage == before.stage:
        return True
    return dataclasses.replace(unit, path=before.path, stage=before.stage) == before
