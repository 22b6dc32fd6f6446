"""The CIFAR ResNets that the shift networks replace, dense and depthwise.

Sources   He et al. 2016, arXiv:1512.03385, section 4.2; alvinwan/shiftresnet-cifar models/resnet.py for
          the 1x1 shortcut and for the depthwise block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from smidgen.families.family import (
    STEADY,
    Family,
    Request,
    Strides,
    Style,
    classifier,
    conv_norm,
    numbered,
    round_channels,
)
from smidgen.graph import Activation, Chain, Init, Node, Sum

__all__ = ["FAMILY", "STAGES", "Variant", "basic_block", "depthwise_block", "shortcut", "staged"]

# Stages of all CIFAR networks here: output channels and stride of the first block.
STAGES = ((16, 1), (32, 2), (64, 2))

# Blocks per stage; each replaces two convolutions, stem and classifier make the rest.
DEPTHS = {20: 3, 56: 9, 110: 18}


@dataclass(frozen=True, slots=True)
class Variant:
    """How one CIFAR network differs from its sisters.

    blocks  per stage
    width   multiplier of all channels
    expand  width of a depthwise block over its output
    """

    blocks: int
    kind: Literal["basic", "depthwise"] = "basic"
    expand: int = 1
    width: float = 1.0
    resolution: int = 32
    num_classes: int = 10


def shortcut(c_in: int, c_out: int, stride: int, style: Style) -> tuple[str, Node]:
    """Identity where the shape stays, else 1x1 convolution and BatchNorm."""
    if stride == 1 and c_in == c_out:
        return "", Chain()
    return "shortcut", conv_norm(c_in, c_out, 1, stride, style, active=False)


def basic_block(c_in: int, c_out: int, stride: int = 1, style: Style = Style()) -> Chain:
    """Two 3x3 convolutions and a shortcut; the last ReLU follows the sum. Source: He et al. 2016."""
    steps = (
        conv_norm(c_in, c_out, 3, stride, style),
        conv_norm(c_out, c_out, 3, 1, style, active=False),
    )
    return _residual(numbered(steps), shortcut(c_in, c_out, stride, style))


def depthwise_block(c_in: int, c_out: int, stride: int = 1, expand: int = 1, style: Style = Style()) -> Chain:
    """1x1, depthwise 3x3 without activation, strided 1x1, and a shortcut.

    Source   alvinwan/shiftresnet-cifar, DepthWiseBlock
    """
    mid = expand * c_out
    steps = (
        conv_norm(c_in, mid, 1, 1, style),
        conv_norm(mid, mid, 3, 1, style, groups=mid, active=False),
        conv_norm(mid, c_out, 1, stride, style, active=False),
    )
    return _residual(numbered(steps), shortcut(c_in, c_out, stride, style))


def _residual(block: Chain, around: tuple[str, Node]) -> Chain:
    return Chain((("", Sum((around, ("block", block)))), ("activation", Activation("relu"))))


def staged(
    blocks: int, width: float, request: Request, style: Style, block: Callable[[int, int, int], Node]
) -> Chain:
    """The frame of all CIFAR networks: a 3x3 stem, three stages of blocks, and the classifier.

    block  c_in, c_out, stride -> block
    """
    strides = Strides(request.dropped_strides)
    c_in = round_channels(STAGES[0][0] * width, 4)
    features = [conv_norm(request.c_in, c_in, 3, 1, style)]
    for channels, stride in STAGES:
        c_out = round_channels(channels * width, 4)
        first = block(c_in, c_out, strides.take(stride))
        # One object for the rest, so that costing visits it once.
        features.append(numbered([first, *[block(c_out, c_out, 1)] * (blocks - 1)]))
        c_in = c_out
    end = classifier(c_in, request.num_classes, request.dropout or 0.0, style.init)
    return Chain((("features", numbered(features)), *end))


def default_init(request: Request) -> Init:
    """Torch's own initialisation, as shiftresnet-cifar trains with, unless torchvision's is asked for."""
    return "fan_out_ungrouped" if request.init == "torchvision" else "torch"


def _build(variant: Variant, request: Request) -> Node:
    style = Style(init=default_init(request))

    def block(c_in: int, c_out: int, stride: int) -> Node:
        if variant.kind == "basic":
            return basic_block(c_in, c_out, stride, style)
        return depthwise_block(c_in, c_out, stride, variant.expand, style)

    return staged(variant.blocks, variant.width, request, style, block)


def _scaled(width: float, depth: float, resolution: int) -> Variant:
    return Variant(max(1, math.ceil(DEPTHS[20] * depth)), width=width, resolution=resolution)


FAMILY = Family(
    name="resnet",
    variants={f"resnet{layers}": Variant(blocks) for layers, blocks in DEPTHS.items()}
    | {
        f"resnet{layers}_depthwise_e{expand}": Variant(blocks, "depthwise", expand)
        for layers, blocks in DEPTHS.items()
        for expand in (1, 3, 6, 9)
    },
    build=_build,
    scaled=_scaled,
    dip=STEADY,
)
