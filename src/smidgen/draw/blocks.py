"""Blocks as a reader counts them, and runs of like blocks as rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from smidgen.spec import Shape

__all__ = ["Block", "BlockRow", "Kind", "rows"]

Kind = Literal["conv", "block", "shift", "pool", "head", "ghost"]


@dataclass(frozen=True, slots=True)
class Block:
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
class BlockRow:
    """Like blocks one after the other: a box of the figure."""

    blocks: tuple[Block, ...]

    @property
    def first(self) -> Block:
        """The block that the others follow; the only one that may have a stride."""
        return self.blocks[0]

    @property
    def out(self) -> Shape:
        """Shape after the last block."""
        return self.blocks[-1].out

    @property
    def params(self) -> int:
        """Parameters of all blocks."""
        return sum(block.params for block in self.blocks)

    @property
    def macs(self) -> int:
        """Multiply-adds of all blocks."""
        return sum(block.macs for block in self.blocks)

    @property
    def path(self) -> str:
        """Where in the tree the row lies."""
        return self.first.path if len(self.blocks) == 1 else f"{self.first.path} … {self.blocks[-1].path}"

    def title(self) -> str:
        """Title of the first block, its stride left to the details where others follow."""
        one = self.first if len(self.blocks) == 1 else dataclasses.replace(self.first, stride=1)
        return one.title()

    def details(self) -> str:
        """What the title leaves out, most important first."""
        return " · ".join((*self.first.details, *self._skips()))

    def _skips(self) -> tuple[str, ...]:
        first, rest = self.first, self.blocks[1:]
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


def rows(found: tuple[Block, ...], whole_stages: bool = True) -> tuple[BlockRow, ...]:
    """Runs of equal blocks; with `whole_stages` also those of a stage whose first block differs."""
    runs: list[list[Block]] = []
    for block in found:
        if runs and _joins(runs[-1][-1], block, whole_stages):
            runs[-1].append(block)
        else:
            runs.append([block])
    return tuple(BlockRow(tuple(run)) for run in runs)


def _joins(before: Block, block: Block, whole_stages: bool) -> bool:
    if whole_stages and block.stage and block.stage == before.stage:
        return True
    return dataclasses.replace(block, path=before.path, stage=before.stage) == before
