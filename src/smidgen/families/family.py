"""What a family file offers, and the pieces that several families share."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from smidgen.graph import (
    Activation,
    ActivationKind,
    BatchNorm,
    Chain,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Init,
    Linear,
    Node,
    Padding,
    Preprocess,
    pad,
)
from smidgen.spec import SmidgenError

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "STEADY",
    "Dip",
    "Family",
    "InitChoice",
    "Option",
    "Request",
    "Strides",
    "Style",
    "classifier",
    "conv_norm",
    "default_preprocess",
    "numbered",
    "round_channels",
]

# Statistics of the ImageNet training set, as torchvision and the papers' codes use them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

InitChoice = Literal["paper", "torchvision"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller may ask of any variant; `None` leaves the choice to the variant.

    dropped_strides  how many strides, first ones first, become 1
    own              options that only some families know, by name
    """

    num_classes: int
    c_in: int
    resolution: int
    dropout: float | None = None
    dropped_strides: int = 0
    init: InitChoice | None = None
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a family's own; `build` refuses values that it cannot meet.

    parse  text of a command line -> value; raises ValueError
    help   what it does, for people: the second half of a sentence
    only   the variant that takes it; default: all, and every scaled network
    reads  what `parse` reads, in words; default: those for int and float
    """

    name: str
    parse: Callable[[str], Any]
    help: str
    only: str = ""
    reads: str = ""

    @property
    def flag(self) -> str:
        """Its name on a command line."""
        return f"--{self.name.replace('_', '-')}"

    def read(self, text: str) -> Any:
        """Value of a text of a command line. Raises SmidgenError."""
        try:
            return self.parse(text)
        except ValueError:
            raise SmidgenError(f"{self.flag} {text}: {self._needed()} is needed") from None

    def checked(self, value: Any) -> Any:
        """A value from Python, as its text would be read; raises SmidgenError where that gives another."""
        value = tuple(value) if isinstance(value, list) else value
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        with contextlib.suppress(ValueError):
            read = self.parse(text)
            if isinstance(read, str) == isinstance(value, str) and read == value:
                return read
        raise SmidgenError(f"{self.name}={value!r}: {self._needed()} is needed")

    def _needed(self) -> str:
        words = {int: "an integer", float: "a number", str: "text"}
        return self.reads or next(
            (told for kind, told in words.items() if kind is self.parse), "another value"
        )


class Dip(NamedTuple):
    """How far peak memory may fall while a family's width grows.

    share  of it, at most: where rounding ends a residual, a wider network may need less than a narrower one
    until  multiplier of the width from which on it never falls
    """

    share: float
    until: float


UNKNOWN, STEADY = Dip(0.25, math.inf), Dip(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A family: a table of variants, and functions from variant to tree.

    variants  name -> row of the table
    build     row and request -> tree; raises SmidgenError where the request cannot be met
    scaled    multipliers of width and depth, and the side of the pictures -> row of the family's baseline
    options   what `Request.own` may hold
    shapes    options of the family's own that give a baseline of another shape, for `fit` to try beside it
    dip       of the peak memory along the width; default: a wide one, which is slow to solve for
    compound  variants that the authors made by compound scaling, the baseline first; their rows have width,
              depth and resolution
    """

    name: str
    variants: Mapping[str, Any]
    build: Callable[[Any, Request], Node]
    scaled: Callable[[float, float, int], Any]
    options: tuple[Option, ...] = ()
    shapes: tuple[Mapping[str, Any], ...] = ()
    dip: Dip = UNKNOWN
    compound: tuple[str, ...] = ()

    def misplaced(self, given: Iterable[str], variant: str) -> tuple[Option, ...]:
        """Those of the given options that another variant alone takes; all of the same one."""
        found = [
            option for option in self.options if option.name in given and option.only not in ("", variant)
        ]
        return tuple(option for option in found if option.only == found[0].only)


class Strides:
    """Hands out strides in order, the first `dropped` of those above 1 as 1: small pictures need no more."""

    def __init__(self, dropped: int) -> None:
        self._dropped = dropped

    def take(self, stride: int) -> int:
        """The stride to use where the table says `stride`."""
        if stride > 1 and self._dropped > 0:
            self._dropped -= 1
            return 1
        return stride


@dataclass(frozen=True, slots=True)
class Style:
    """What all layers of one network have in common."""

    activation: ActivationKind = "relu"
    eps: float = 1e-5
    momentum: float = 0.1
    same: bool = False
    init: Init = "torch"

    def padding(self, kernel: int) -> Padding:
        """Padding that keeps the map's size at stride 1."""
        return "same" if self.same and kernel > 1 else pad(kernel // 2)


@functools.cache
def conv_norm(
    c_in: int, c_out: int, kernel: int, stride: int, style: Style, *, groups: int = 1, active: bool = True
) -> Chain:
    """Convolution, BatchNorm, and an activation where `active`: children "0", "1", "2"."""
    conv = Conv(c_in, c_out, kernel, stride, padding=style.padding(kernel), groups=groups, init=style.init)
    norm = BatchNorm(c_out, style.eps, style.momentum)
    if not active:
        return Chain((("0", conv), ("1", norm)))
    return Chain((("0", conv), ("1", norm), ("2", Activation(style.activation))))


def classifier(c_in: int, num_classes: int, dropout: float, init: Init) -> tuple[tuple[str, Node], ...]:
    """Mean over the map, then dropout and a linear layer: the end of all families but SqueezeNet."""
    head = Chain((("0", Dropout(dropout)), ("1", Linear(c_in, num_classes, init=init))))
    return ("avgpool", GlobalPool()), ("flatten", Flatten()), ("classifier", head)


def numbered(steps: Iterable[Node]) -> Chain:
    """Chain whose children are called "0", "1", …"""
    return Chain(tuple((str(index), step) for index, step in enumerate(steps)))


def round_channels(channels: float, divisor: int = 8, limit: float = 0.9) -> int:
    """Nearest multiple of `divisor`, at least one, and never under `limit` times what was asked.

    Source: tensorflow/tpu efficientnet_model.py, round_filters; google/automl's V2 code has limit 0.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < limit * channels else rounded


def default_preprocess(c_in: int, resolution: int) -> Preprocess:
    """ImageNet's statistics for colour, (0.5, 0.5) for anything else; nothing is cropped off."""
    if c_in == 3:
        return Preprocess(resolution, "bilinear", IMAGENET_MEAN, IMAGENET_STD)
    return Preprocess(resolution, "bilinear", (0.5,) * c_in, (0.5,) * c_in)
