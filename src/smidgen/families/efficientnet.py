"""EfficientNet, EfficientNet-Lite and EfficientNetV2: one table each, scaled by width and depth.

Sources   Tan & Le 2019, arXiv:1905.11946; 2021, arXiv:2104.00298; tensorflow/tpu and google/automl for
          what the papers leave out; torchvision for the names of the state dict.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from smidgen.families.family import (
    Dip,
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
from smidgen.graph import (
    Activation,
    ActivationKind,
    Chain,
    Conv,
    Gate,
    GlobalPool,
    Init,
    Node,
    Sum,
)
from smidgen.spec import SmidgenError

__all__ = ["FAMILY", "Stage", "Variant", "mbconv", "round_repeats", "squeeze_excite"]


class Stage(NamedTuple):
    """A row of the papers' tables: blocks of one shape, the first of them strided."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    c_out: int
    fused: bool = False


# Tan & Le 2019, Table 1.
# repeats kernel stride expand c_out
B0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

# google/automl efficientnetv2/effnetv2_configs.py: v2_base_block, v2_s_block, v2_m_block, v2_l_block.
# repeats kernel stride expand c_out fused
V2_BASE = (
    Stage(1, 3, 1, 1, 16, True),
    Stage(2, 3, 2, 4, 32, True),
    Stage(2, 3, 2, 4, 48, True),
    Stage(3, 3, 2, 4, 96),
    Stage(5, 3, 1, 6, 112),
    Stage(8, 3, 2, 6, 192),
)
V2_S = (
    Stage(2, 3, 1, 1, 24, True),
    Stage(4, 3, 2, 4, 48, True),
    Stage(4, 3, 2, 4, 64, True),
    Stage(6, 3, 2, 4, 128),
    Stage(9, 3, 1, 6, 160),
    Stage(15, 3, 2, 6, 256),
)
V2_M = (
    Stage(3, 3, 1, 1, 24, True),
    Stage(5, 3, 2, 4, 48, True),
    Stage(5, 3, 2, 4, 80, True),
    Stage(7, 3, 2, 4, 160),
    Stage(14, 3, 1, 6, 176),
    Stage(18, 3, 2, 6, 304),
    Stage(5, 3, 1, 6, 512),
)
V2_L = (
    Stage(4, 3, 1, 1, 32, True),
    Stage(7, 3, 2, 4, 64, True),
    Stage(7, 3, 2, 4, 96, True),
    Stage(10, 3, 2, 4, 192),
    Stage(19, 3, 1, 6, 224),
    Stage(25, 3, 2, 6, 384),
    Stage(7, 3, 1, 6, 640),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """How one EfficientNet differs from the table it comes from.

    width, depth   multipliers of channels and repeats
    fixed_ends     stem, head, first and last stage are not scaled (Lite)
    limit          rounding of channels, see `round_channels`
    same           TensorFlow's SAME padding
    """

    stages: tuple[Stage, ...]
    width: float
    depth: float
    resolution: int
    dropout: float
    stem: int = 32
    eps: float = 1e-5
    momentum: float = 0.1
    activation: ActivationKind = "silu"
    squeeze: float = 0.25
    fixed_ends: bool = False
    limit: float = 0.9
    same: bool = False
    num_classes: int = 1000


# Coefficients: tensorflow/tpu efficientnet_builder.py, efficientnet_params.
# BatchNorm: torchvision's, which its published weights need; B8 and L2 as B5 to B7.
#                                 width depth  side dropout
_V1 = {
    "efficientnet_b0": Variant(B0, 1.0, 1.0, 224, 0.2),
    "efficientnet_b1": Variant(B0, 1.0, 1.1, 240, 0.2),
    "efficientnet_b2": Variant(B0, 1.1, 1.2, 260, 0.3),
    "efficientnet_b3": Variant(B0, 1.2, 1.4, 300, 0.3),
    "efficientnet_b4": Variant(B0, 1.4, 1.8, 380, 0.4),
    "efficientnet_b5": Variant(B0, 1.6, 2.2, 456, 0.4, eps=1e-3, momentum=0.01),
    "efficientnet_b6": Variant(B0, 1.8, 2.6, 528, 0.5, eps=1e-3, momentum=0.01),
    "efficientnet_b7": Variant(B0, 2.0, 3.1, 600, 0.5, eps=1e-3, momentum=0.01),
    "efficientnet_b8": Variant(B0, 2.2, 3.6, 672, 0.5, eps=1e-3, momentum=0.01),
    "efficientnet_l2": Variant(B0, 4.3, 5.3, 800, 0.5, eps=1e-3, momentum=0.01),
}

# tensorflow/tpu lite/efficientnet_lite_builder.py: no squeeze-excite, ReLU6, ends unscaled.
_LITE = Variant(
    B0, 1.0, 1.0, 224, 0.2, eps=1e-3, momentum=0.01,
    activation="relu6", squeeze=0.0, fixed_ends=True, same=True,
)  # fmt: skip
_LITES = {
    "efficientnet_lite0": _LITE,
    "efficientnet_lite1": replace(_LITE, depth=1.1, resolution=240),
    "efficientnet_lite2": replace(_LITE, width=1.1, depth=1.2, resolution=260, dropout=0.3),
    "efficientnet_lite3": replace(_LITE, width=1.2, depth=1.4, resolution=280, dropout=0.3),
    "efficientnet_lite4": replace(_LITE, width=1.4, depth=1.8, resolution=300, dropout=0.3),
}

# google/automl effnetv2_configs.py, efficientnetv2_params (evaluation size, dropout). torchvision's
# S, M, L: dropout 0.2, 0.3, 0.4 and BatchNorm eps 1e-3, momentum 0.1.
_V2 = {
    "efficientnet_v2_b0": Variant(V2_BASE, 1.0, 1.0, 224, 0.2, eps=1e-3, limit=0.0),
    "efficientnet_v2_b1": Variant(V2_BASE, 1.0, 1.1, 240, 0.2, eps=1e-3, limit=0.0),
    "efficientnet_v2_b2": Variant(V2_BASE, 1.1, 1.2, 260, 0.3, eps=1e-3, limit=0.0),
    "efficientnet_v2_b3": Variant(V2_BASE, 1.2, 1.4, 300, 0.3, eps=1e-3, limit=0.0),
    "efficientnet_v2_s": Variant(V2_S, 1.0, 1.0, 384, 0.2, stem=24, eps=1e-3, limit=0.0),
    "efficientnet_v2_m": Variant(V2_M, 1.0, 1.0, 480, 0.3, stem=24, eps=1e-3, limit=0.0),
    "efficientnet_v2_l": Variant(V2_L, 1.0, 1.0, 480, 0.4, stem=32, eps=1e-3, limit=0.0),
}

HEAD = 1280  # channels of the last 1x1 convolution, before scaling
DROP_PATH = 0.2  # of the last block; earlier ones rise to it linearly (tensorflow/tpu, drop_connect_rate)


def round_repeats(repeats: int, depth: float) -> int:
    """Repeats of a stage at depth multiplier `depth`, rounded up. Source: tensorflow/tpu."""
    return max(1, math.ceil(depth * repeats))


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def squeeze_excite(channels: int, squeezed: int, style: Style = Style("silu")) -> Gate:
    """Gate of `channels` computed from their means through a bottleneck of `squeezed`.

    Source   Hu et al. 2018, arXiv:1709.01507; SiLU inside and biases as in tensorflow/tpu.
    """
    return Gate(
        (
            ("avgpool", GlobalPool()),
            ("fc1", Conv(channels, squeezed, bias=True, init=style.init)),
            ("activation", Activation(style.activation)),
            ("fc2", Conv(squeezed, channels, bias=True, init=style.init)),
            ("scale_activation", Activation("sigmoid")),
        )
    )


def mbconv(
    c_in: int,
    c_out: int,
    kernel: int = 3,
    stride: int = 1,
    expand: int = 6,
    *,
    squeeze: float = 0.25,
    fused: bool = False,
    drop_path: float = 0.0,
    style: Style = Style("silu"),
) -> Chain | Sum:
    """Inverted bottleneck: widen by `expand`, depthwise convolution, squeeze-excite, narrow again.

    squeeze    width of the squeeze-excite bottleneck over that of the block's input; 0 for none
    fused      V2's Fused-MBConv: one dense convolution instead of 1x1 and depthwise, no squeeze-excite
    A residual joins input and output where they have the same shape.
    Source     Sandler et al. 2018, arXiv:1801.04381; Tan & Le 2019, 2021
    """
    body = _body(c_in, c_out, kernel, stride, expand, squeeze, fused, style)
    if stride == 1 and c_in == c_out:
        return Sum((("", Chain()), ("block", body)), drop_path)
    return Chain((("block", body),))


@functools.cache
def _body(
    c_in: int, c_out: int, kernel: int, stride: int, expand: int, squeeze: float, fused: bool, style: Style
) -> Chain:
    mid = c_in * expand
    steps: list[Node] = []
    if fused:
        steps.append(conv_norm(c_in, mid if expand > 1 else c_out, kernel, stride, style))
    else:
        if expand > 1:
            steps.append(conv_norm(c_in, mid, 1, 1, style))
        steps.append(conv_norm(mid, mid, kernel, stride, style, groups=mid))
        if squeeze:
            # The width follows the block's input, not the expanded channels.
            steps.append(squeeze_excite(mid, max(1, int(c_in * squeeze)), style))
    if not fused or expand > 1:
        steps.append(conv_norm(mid, c_out, 1, 1, style, active=False))
    return numbered(steps)


# ── the network ──────────────────────────────────────────────────────────────────────────────────


def _build(variant: Variant, request: Request) -> Node:
    style = _style(variant, request)
    strides = Strides(request.dropped_strides)
    stem, head = _ends(variant)
    features: list[Node] = [conv_norm(request.c_in, stem, 3, strides.take(2), style)]
    stages = _scaled_stages(variant)
    blocks, done, c_in = sum(stage.repeats for stage in stages), 0, stem
    for stage in stages:
        features.append(_stage(variant, stage, c_in, strides.take(stage.stride), done, blocks, style))
        done, c_in = done + stage.repeats, stage.c_out
    features.append(conv_norm(c_in, head, 1, 1, style))
    dropout = variant.dropout if request.dropout is None else request.dropout
    end = classifier(head, request.num_classes, dropout, "uniform_fan_out")
    return Chain((("features", numbered(features)), *end))


def _style(variant: Variant, request: Request) -> Style:
    padding = request.own.get("padding", "same" if variant.same else "symmetric")
    if padding not in ("same", "symmetric"):
        raise SmidgenError(f"no padding '{padding}'; there are same and symmetric")
    init: Init = "fan_out_ungrouped" if request.init == "torchvision" else "fan_out"
    return Style(variant.activation, variant.eps, variant.momentum, padding == "same", init)


def _stage(
    variant: Variant, stage: Stage, c_in: int, stride: int, done: int, blocks: int, style: Style
) -> Chain:
    def block(index: int) -> Node:
        first = index == 0
        return mbconv(
            c_in if first else stage.c_out,
            stage.c_out,
            stage.kernel,
            stride if first else 1,
            stage.expand,
            squeeze=variant.squeeze,
            fused=stage.fused,
            drop_path=DROP_PATH * (done + index) / blocks,
            style=style,
        )

    return numbered([block(index) for index in range(stage.repeats)])


def _ends(variant: Variant) -> tuple[int, int]:
    """Channels of stem and head."""
    if variant.fixed_ends:
        return variant.stem, HEAD
    return _wide(variant, variant.stem), _wide(variant, HEAD)


def _wide(variant: Variant, channels: int) -> int:
    return round_channels(channels * variant.width, limit=variant.limit)


def _scaled_stages(variant: Variant) -> list[Stage]:
    last = len(variant.stages) - 1
    return [
        stage._replace(
            c_out=_wide(variant, stage.c_out),
            repeats=stage.repeats
            if variant.fixed_ends and index in (0, last)
            else round_repeats(stage.repeats, variant.depth),
        )
        for index, stage in enumerate(variant.stages)
    ]


def _scaled(width: float, depth: float, resolution: int) -> Variant:
    return replace(_V1["efficientnet_b0"], width=width, depth=depth, resolution=resolution)


FAMILY = Family(
    name="efficientnet",
    variants={**_V1, **_LITES, **_V2},
    build=_build,
    scaled=_scaled,
    options=(Option("padding", str, "same, as in TensorFlow, or symmetric, as in torch."),),
    # Memory dips where two neighbouring stages round to different widths, and a residual ends; by 1/13 at
    # most. From this width on neighbours always differ (tests/scaling/test_stairs.py).
    dip=Dip(0.08, 1.25),
    compound=(*(f"efficientnet_b{number}" for number in range(8)), "efficientnet_l2"),
)
