"""SqueezeNet: Fire modules, the two releases, their bypasses, and the paper's design space.

Sources   Iandola et al. 2016, arXiv:1602.07360; forresti/SqueezeNet for the releases;
          songhan/SqueezeNet-Residual for the bypass; torchvision for the names of the state dict.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from smidgen.families.family import STEADY, Family, Option, Request, Strides, numbered, round_channels
from smidgen.graph import (
    Activation,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Init,
    Node,
    Pool,
    Sum,
    pad,
)
from smidgen.spec import SmidgenError

__all__ = ["FAMILY", "FireRow", "Variant", "design_space", "fire"]


class FireRow(NamedTuple):
    """Widths of one Fire module."""

    squeeze: int
    expand1x1: int
    expand3x3: int


# Iandola et al. 2016, Table 1, fire2 to fire9.
# squeeze expand1x1 expand3x3
FIRES = (
    FireRow(16, 64, 64),
    FireRow(16, 64, 64),
    FireRow(32, 128, 128),
    FireRow(32, 128, 128),
    FireRow(48, 192, 192),
    FireRow(48, 192, 192),
    FireRow(64, 256, 256),
    FireRow(64, 256, 256),
)


Bypass = Literal["none", "simple", "complex"]


@dataclass(frozen=True, slots=True)
class Variant:
    """How one SqueezeNet differs from its sisters.

    stem, stem_kernel  the first convolution, stride 2
    pools_after        a max-pool of stride 2 follows these Fire modules, counted from 1; 0 is the stem
    bypass             "simple": identity around every second Fire module; "complex": 1x1 convolutions
                       around the others too
    """

    stem: int
    stem_kernel: int
    fires: tuple[FireRow, ...]
    pools_after: tuple[int, ...]
    bypass: Bypass = "none"
    dropout: float = 0.5
    resolution: int = 224
    num_classes: int = 1000


_V1_0 = Variant(96, 7, FIRES, pools_after=(0, 3, 7))
_V1_1 = Variant(64, 3, FIRES, pools_after=(0, 2, 4))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


_DESIGN_OPTIONS = tuple(
    Option(name, parse, told, only="squeezenet_design", reads=reads)
    for name, parse, told, reads in (
        ("base", int, "expand filters of the first Fire module.", ""),
        ("increment", int, "filters added after every so many modules as --frequency says.", ""),
        ("frequency", int, "Fire modules of one width.", ""),
        ("squeeze_ratio", float, "squeeze filters over expand filters.", ""),
        ("share_3x3", float, "share of the expand filters that are 3x3.", ""),
        ("pools", _numbers, "Fire modules that a pool follows, as 0,3,7; 0 is the stem.", "a list as 0,3,7"),
    )
)


def design_space(
    base: int = 128,
    increment: int = 128,
    frequency: int = 2,
    squeeze_ratio: float = 0.125,
    share_3x3: float = 0.5,
    count: int = 8,
) -> tuple[FireRow, ...]:
    """Fire modules of the paper's design space; the defaults give SqueezeNet 1.0.

    base           expand filters of the first Fire module
    increment      filters added after every `frequency` modules
    squeeze_ratio  squeeze filters over expand filters
    share_3x3      share of the expand filters that are 3x3
    Raises         SmidgenError on a value out of range.
    Source         Iandola et al. 2016, section 5.1
    """
    if base < 2 or increment < 0 or frequency < 1 or count < 1:
        raise SmidgenError(
            f"base={base}, increment={increment}, frequency={frequency}: at least 2, 0 and 1 are needed"
        )
    if not (0 < squeeze_ratio <= 1 and 0 < share_3x3 < 1):
        raise SmidgenError(
            f"squeeze_ratio={squeeze_ratio} and share_3x3={share_3x3} must lie between 0 and 1"
        )
    rows = []
    for index in range(count):
        expand = base + increment * (index // frequency)
        wide = min(expand - 1, max(1, round(share_3x3 * expand)))
        rows.append(FireRow(max(1, round(squeeze_ratio * expand)), expand - wide, wide))
    return tuple(rows)


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def fire(c_in: int, squeeze: int, expand1x1: int, expand3x3: int, init: Init = "he_uniform") -> Chain:
    """Fire module: 1x1 squeeze, then 1x1 and padded 3x3 expand side by side, a ReLU after each.

    Source   Iandola et al. 2016, section 3.2
    """
    squeezed = Conv(c_in, squeeze, bias=True, init=init)
    narrow = Conv(squeeze, expand1x1, bias=True, init=init)
    wide = Conv(squeeze, expand3x3, 3, padding=pad(1), bias=True, init=init)
    expand = Concat(
        (
            ("", Chain((("expand1x1", narrow), ("expand1x1_activation", Activation("relu"))))),
            ("", Chain((("expand3x3", wide), ("expand3x3_activation", Activation("relu"))))),
        )
    )
    return Chain((("squeeze", squeezed), ("squeeze_activation", Activation("relu")), ("", expand)))


def _bypassed(row: FireRow, c_in: int, position: int, bypass: Bypass, init: Init) -> Node:
    """Fire module at `position` (from 1), inside its bypass where it has one."""
    module = fire(c_in, *row, init)
    c_out = row.expand1x1 + row.expand3x3
    if bypass != "none" and c_in == c_out and position % 2 == 0:
        return Sum((("", Chain()), ("", module)))
    if bypass == "complex":
        return Sum((("bypass", Conv(c_in, c_out, bias=True, init=init)), ("", module)))
    return module


# ── the network ──────────────────────────────────────────────────────────────────────────────────


def _build(variant: Variant, request: Request) -> Node:
    variant = _designed(variant, request)
    init: Init = "xavier_uniform" if request.init == "paper" else "he_uniform"
    strides = Strides(request.dropped_strides)
    # The releases leave kernels unpadded; on small pictures that would eat the map.
    padded = request.dropped_strides > 0
    kernel = variant.stem_kernel
    stem = Conv(
        request.c_in, variant.stem, kernel, strides.take(2), pad(kernel // 2 * padded), bias=True, init=init
    )
    features: list[Node] = [stem, Activation("relu")]
    c_in = variant.stem
    for position in range(len(variant.fires) + 1):
        if position > 0:
            row = variant.fires[position - 1]
            features.append(_bypassed(row, c_in, position, variant.bypass, init))
            c_in = row.expand1x1 + row.expand3x3
        if position in variant.pools_after:
            features.append(_pool(strides.take(2), padded))
    return Chain((("features", numbered(features)), *_end(variant, request, c_in)))


def _pool(stride: int, padded: bool) -> Node:
    """Max-pool between the Fire modules; a dropped one stays in its place as an identity."""
    if stride == 1:
        return Chain()
    return Pool("max", 3, stride, padding=int(padded), ceil_mode=not padded)


def _end(variant: Variant, request: Request, c_in: int) -> tuple[tuple[str, Node], ...]:
    dropout = variant.dropout if request.dropout is None else request.dropout
    steps = (
        Dropout(dropout),
        Conv(c_in, request.num_classes, bias=True, init="normal_01"),
        Activation("relu"),
        GlobalPool(),
    )
    return ("classifier", numbered(steps)), ("flatten", Flatten())


def _designed(variant: Variant, request: Request) -> Variant:
    """The variant with the design-space options of the request."""
    if not request.own:
        return variant
    own = dict(request.own)
    pools = _pools(own.pop("pools", variant.pools_after), len(variant.fires))
    return replace(variant, fires=design_space(**own), pools_after=pools)


def _pools(places: Sequence[int], fires: int) -> tuple[int, ...]:
    """Positions of the pools, as `Variant.pools_after` has them."""
    if not all(isinstance(place, int) and 0 <= place <= fires for place in places):
        raise SmidgenError(f"pools={places}: each follows a Fire module, 1 to {fires}, or the stem, 0")
    return tuple(sorted(set(places)))


_BYPASSES: dict[str, Bypass] = {"": "none", "_bypass": "simple", "_complex_bypass": "complex"}
_VARIANTS = {
    f"{name}{suffix}": replace(variant, bypass=bypass)
    for name, variant in (("squeezenet1_0", _V1_0), ("squeezenet1_1", _V1_1))
    for suffix, bypass in _BYPASSES.items()
} | {"squeezenet_design": _V1_0}


def _scaled(width: float, depth: float, resolution: int) -> Variant:
    """SqueezeNet 1.1 with more or fewer, wider or narrower Fire modules in each of its three groups.

    In the words of the paper's design space: the width multiplies the base and the increment of the expand
    filters, the depth the frequency with which they grow; squeeze ratio and share of 3x3 stay.
    """
    groups = (FIRES[0:2], FIRES[2:4], FIRES[4:8])
    fires: list[FireRow] = []
    ends = []
    for group in groups:
        repeats = max(1, math.ceil(depth * len(group)))
        fires += [_wide(group[index * len(group) // repeats], width) for index in range(repeats)]
        ends.append(len(fires))
    stem = round_channels(64 * width)
    return Variant(stem, 3, tuple(fires), (0, ends[0], ends[1]), resolution=resolution)


def _wide(row: FireRow, width: float) -> FireRow:
    expand = round_channels(row.expand1x1 * width, 4)
    return FireRow(round_channels(row.squeeze * width, 4), expand, expand)


FAMILY = Family(
    name="squeezenet",
    variants=_VARIANTS,
    build=_build,
    scaled=_scaled,
    options=_DESIGN_OPTIONS,
    dip=STEADY,
)
