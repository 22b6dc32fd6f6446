"""Operations into fused steps: every operation joins a step that is there, or becomes one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, assert_never

from smidgen.graph import nodes
from smidgen.graph.leaves import has_no_window
from smidgen.program.listing import Line, Listing
from smidgen.program.program import Program
from smidgen.program.steps import (
    After,
    Conv,
    Depthwise,
    Mean,
    Pointwise,
    Pooling,
    Run,
    Step,
    Transpose,
    View,
)
from smidgen.program.values import Map
from smidgen.program.weights import Weights, is_depthwise

__all__ = ["fused"]


@dataclass(slots=True)
class _Draft:
    """A step that later operations may still join; its output is the last of them's.

    number  counts the steps in the order in which they were made, which is that in which they run
    base    the convolution or pool, None for an elementwise step
    norm    BatchNorm to fold into the convolution
    """

    number: int
    layer: str
    x: int
    y: int
    base: nodes.Conv | nodes.Linear | nodes.Pool | Literal["mean", "transpose"] | None = None
    norm: tuple[str, nodes.BatchNorm] | None = None
    runs: tuple[Run, ...] = ()
    affine: tuple[str, nodes.BatchNorm] | None = None
    before: nodes.ActivationKind | None = None
    factor: int | None = None
    activation: nodes.ActivationKind | None = None
    add: int | None = None
    then: nodes.ActivationKind | None = None

    @property
    def convolves(self) -> bool:
        return isinstance(self.base, nodes.Conv | nodes.Linear)

    @property
    def untouched(self) -> bool:
        """Whether nothing has been done yet to what it makes, so that a BatchNorm can be folded in."""
        done = (self.norm, self.activation, self.add, self.then)
        return all(part is None for part in done) and (
            self.convolves or (self.affine is None and self.before is None and self.factor is None)
        )

    @property
    def depthwise(self) -> bool:
        return isinstance(self.base, nodes.Conv) and is_depthwise(self.base)


def fused(listing: Listing, answer: int, weights: Weights) -> Program:
    """The program of a listing that answers with the value `answer`. Raises as `Weights`."""
    return _Fusing(listing, answer, weights).program()


class _Fusing:
    """Turns the listing into steps.

    Values that a Concat joins are written where they belong: `_inside` holds, for each, the joined value and
    the first channel in it. `_maker` has the step that a value's only reader may join, `_origin` the step
    after which the value is whole. `_maps` numbers the values that are maps of the program.
    """

    def __init__(self, listing: Listing, answer: int, weights: Weights) -> None:
        self._listing, self._answer, self._weights = listing, answer, weights
        self._readers = Counter(value for line in listing.lines for value in line.inputs) + Counter([answer])
        self._drafts: list[_Draft] = []
        self._numbers = count()
        self._maker: dict[int, _Draft] = {}
        self._origin: dict[int, _Draft] = {}
        self._inside: dict[int, tuple[int, int]] = {}
        self._maps: dict[int, int] = {}

    def program(self) -> Program:
        for line in self._listing.lines:
            self._take(line)
        values = sorted({0, *(self._place(value)[0] for draft in self._drafts for value in _values(draft))})
        self._maps = {value: number for number, value in enumerate(values)}
        maps = tuple(Map(self._listing.shapes[value]) for value in values)
        steps = tuple(self._step(number, draft) for number, draft in enumerate(self._drafts))
        return Program(steps, maps, self._maps[self._answer])

    def _take(self, line: Line) -> None:
        what = line.what
        match what:
            case "add":
                self._add(line)
            case "multiply":
                self._new(line, factor=line.inputs[1])
            case "concat":
                self._concat(line)
            case nodes.Conv() | nodes.Linear():
                self._convolution(line, what)
            case nodes.BatchNorm():
                self._norm(line, what)
            case nodes.Activation(kind=kind):
                self._activation(line, kind)
            case nodes.Shift(runs=runs):
                self._new(line, runs=runs)
            case nodes.Pool():
                self._new(line, base=what)
            case nodes.GlobalPool():
                self._new(line, base="mean")
            case nodes.Flatten():
                self._new(line, base="transpose")
            case nodes.Dropout():
                self._new(line)
            case _:
                assert_never(what)

    def _new(self, line: Line, **fields: Any) -> None:
        draft = _Draft(next(self._numbers), line.name, line.inputs[0], line.output, **fields)
        self._drafts.append(draft)
        self._maker[line.output] = self._origin[line.output] = draft

    def _only_reader(self, value: int) -> _Draft | None:
        """The step that makes a value which is read once: then its reader may join it."""
        return self._maker.get(value) if self._readers[value] == 1 else None

    def _join(self, draft: _Draft, line: Line) -> None:
        draft.y = line.output
        self._maker[line.output] = self._origin[line.output] = draft

    def _convolution(self, line: Line, leaf: nodes.Conv | nodes.Linear) -> None:
        self._new(line, base=leaf)
        draft, maker = self._drafts[-1], self._only_reader(line.inputs[0])
        pointwise = isinstance(leaf, nodes.Linear) or (has_no_window(leaf) and not draft.depthwise)
        if maker is None or maker.base is not None or not pointwise or maker.add is not None or maker.then:
            return
        if maker.factor is not None and (
            maker.runs
            or maker.affine
            or maker.before
            or self._listing.shapes[maker.factor].numel > self._listing.shapes[maker.factor].channels
        ):
            return
        # What was to be done to the input alone is done while reading it.
        draft.x, draft.runs, draft.affine = maker.x, maker.runs, maker.affine
        draft.before, draft.factor = maker.before, maker.factor
        self._drafts.remove(maker)

    def _norm(self, line: Line, leaf: nodes.BatchNorm) -> None:
        maker = self._only_reader(line.inputs[0])
        norm = (line.name, leaf)
        if maker is not None and maker.convolves and maker.untouched:
            maker.norm = norm
        elif maker is not None and maker.base is None and maker.untouched:
            maker.affine = norm
        else:
            self._new(line, affine=norm)
            return
        self._join(maker, line)

    def _activation(self, line: Line, kind: nodes.ActivationKind) -> None:
        maker = self._only_reader(line.inputs[0])
        if maker is None or maker.then is not None:
            self._new(line, before=kind)
            return
        elementwise = maker.base is None
        if maker.add is not None or (elementwise and maker.factor is not None):
            maker.then = kind
        elif maker.convolves and maker.activation is None:
            maker.activation = kind
        elif elementwise and maker.before is None:
            maker.before = kind
        else:
            self._new(line, before=kind)
            return
        self._join(maker, line)

    def _add(self, line: Line) -> None:
        """The last of two steps adds what the other one has left, where it is a dense convolution."""
        earlier, later = sorted(line.inputs, key=self._age)
        maker = self._only_reader(later)
        if maker is not None and maker.convolves and not maker.depthwise and maker.add is None:
            maker.add = earlier
            self._join(maker, line)
        else:
            self._new(line._replace(inputs=(earlier, later)), add=later)

    def _age(self, value: int) -> int:
        """Number of the step after which the value is whole; -1 for the input."""
        origin = self._origin.get(value)
        return -1 if origin is None else origin.number

    def _concat(self, line: Line) -> None:
        first = 0
        parts = []
        for value in line.inputs:
            channels = self._listing.shapes[value].channels
            if value == 0 or value in self._inside or line.inputs.count(value) > 1:
                copy = len(self._listing.shapes)
                self._listing.shapes.append(self._listing.shapes[value])
                self._new(Line(line.name, "concat", (value,), copy))
                value = copy
            self._inside[value] = (line.output, first)
            first += channels
            parts.append(value)
        self._origin[line.output] = self._origin[max(parts, key=self._age)]

    def _place(self, value: int) -> tuple[int, int]:
        """The value that holds a value, and its first channel there."""
        first = 0
        while value in self._inside:
            value, offset = self._inside[value]
            first += offset
        return value, first

    def _view(self, value: int) -> View:
        root, first = self._place(value)
        return View(self._maps[root], self._listing.shapes[value].channels, first)

    def _maybe(self, value: int | None) -> View | None:
        return None if value is None else self._view(value)

    def _step(self, number: int, draft: _Draft) -> Step:
        common = (number, draft.layer, self._view(draft.x), self._view(draft.y))
        match draft.base:
            case None:
                before, then = self._weights.affine(draft.affine, draft.before), draft.then
                factor, add = self._maybe(draft.factor), self._maybe(draft.add)
                return Pointwise(*common, draft.runs, before, factor, add, then)
            case "mean":
                return Mean(*common)
            case "transpose":
                return Transpose(*common)
            case nodes.Pool() as leaf:
                return Pooling(*common, leaf)
            case nodes.Conv() | nodes.Linear() as leaf:
                return self._convolving(common, draft, leaf)
            case _:
                assert_never(draft.base)

    def _convolving(
        self, common: tuple[int, str, View, View], draft: _Draft, base: nodes.Conv | nodes.Linear
    ) -> Conv | Depthwise:
        weight, bias = self._weights.convolution(draft.layer, base, draft.norm)
        leaf = nodes.Conv(base.c_in, base.c_out) if isinstance(base, nodes.Linear) else base
        if draft.depthwise:
            return Depthwise(*common, leaf, weight, bias, draft.activation)
        before = self._weights.affine(draft.affine, draft.before)
        after = After(draft.activation, self._maybe(draft.add), draft.then)
        return Conv(*common, leaf, weight, bias, draft.runs, before, self._maybe(draft.factor), after)


def _values(draft: _Draft) -> list[int]:
    found = (draft.x, draft.y, draft.factor, draft.add)
    return [value for value in found if value is not None]
