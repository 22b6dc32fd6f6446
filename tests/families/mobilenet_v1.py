"""MobileNet V1 as somebody would add it: this file, and nothing else. `test_new_family.py` puts it in place.

Source   Howard et al. 2017, arXiv:1704.04861, Table 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from smidgen.families.family import (
    Family,
    Option,
    Request,
    Strides,
    Style,
    classifier,
    conv_norm,
    numbered,
    round_channels,
)
from smidgen.graph import Chain, Init, Node
from smidgen.spec import SmidgenError

__all__ = ["FAMILY", "Stage", "Variant", "separable"]


class Stage(NamedTuple):
    """Blocks of one width, the first of them strided."""

    repeats: int
    stride: int
    c_out: int


# Howard et al. 2017, Table 1.
# repeats stride c_out
STAGES = (
    Stage(1, 1, 64),
    Stage(2, 2, 128),
    Stage(2, 2, 256),
    Stage(6, 2, 512),
    Stage(2, 2, 1024),
)
STEM = 32
LONGEST = 3  # the stage that the paper's shallow network shortens


@dataclass(frozen=True, slots=True)
class Variant:
    """How one MobileNet differs from its sisters: the paper's width multiplier, and one of the depth."""

    width: float = 1.0
    depth: float = 1.0
    resolution: int = 224
    num_classes: int = 1000


def separable(c_in: int, c_out: int, stride: int, style: Style) -> Chain:
    """Depthwise 3x3 and 1x1 convolution, each with norm and activation. Source: section 3.1"""
    depthwise = conv_norm(c_in, c_in, 3, stride, style, groups=c_in)
    return numbered((depthwise, conv_norm(c_in, c_out, 1, 1, style)))


def _build(variant: Variant, request: Request) -> Node:
    init: Init = "fan_out_ungrouped" if request.init == "torchvision" else "fan_out"
    style, strides = Style("relu", init=init), Strides(request.dropped_strides)
    c_in = round_channels(STEM * variant.width)
    features: list[Node] = [conv_norm(request.c_in, c_in, 3, strides.take(2), style)]
    for index, stage in enumerate(STAGES):
        repeats = max(1, math.ceil(stage.repeats * variant.depth))
        if index == LONGEST:
            repeats -= _removed(request, repeats)
        c_out, stride = round_channels(stage.c_out * variant.width), strides.take(stage.stride)
        first = separable(c_in, c_out, stride, style)
        features.append(numbered([first, *[separable(c_out, c_out, 1, style)] * (repeats - 1)]))
        c_in = c_out
    end = classifier(c_in, request.num_classes, request.dropout or 0.0, "uniform_fan_out")
    return Chain((("features", numbered(features)), *end))


def _removed(request: Request, repeats: int) -> int:
    removed = request.own.get("removed", 0)
    if not isinstance(removed, int) or not 0 <= removed < repeats:
        raise SmidgenError(f"removed={removed}: 0 to {repeats - 1} blocks of 512 channels can be removed")
    return removed


def _scaled(width: float, depth: float, resolution: int) -> Variant:
    return Variant(width, depth, resolution)


FAMILY = Family(
    name="mobilenet",
    variants={
        "mobilenet_v1": Variant(),
        "mobilenet_v1_075": Variant(0.75),
        "mobilenet_v1_050": Variant(0.5),
        "mobilenet_v1_025": Variant(0.25),
        "mobilenet_v1_192": replace(Variant(), resolution=192),
    },
    build=_build,
    scaled=_scaled,
    options=(Option("removed", int, "blocks of 512 channels that are left out; 5 are the shallow network."),),
)
