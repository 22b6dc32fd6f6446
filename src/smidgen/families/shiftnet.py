"""ShiftNet and ShiftResNet: 1x1 convolutions mix channels, shifts look at neighbours.

Sources   Wu et al. 2018, arXiv:1711.08141; alvinwan/shiftresnet-cifar for the CIFAR networks. The paper's
          table leaves open what ShiftNet's expansion multiplies; the reading here (the block's input)
          gives Jeon & Kim's independently measured 371 M and 1.4 G MACs for B and A.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from smidgen.families.family import (
    STEADY,
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
from smidgen.families.resnet import DEPTHS, default_init, shortcut, staged
from smidgen.graph import Activation, BatchNorm, Chain, Concat, Conv, Node, Pool, Shift, Sum, pad
from smidgen.spec import ShapeError, SmidgenError

__all__ = [
    "FAMILY",
    "Group",
    "Layout",
    "Order",
    "ResVariant",
    "Variant",
    "csc",
    "sc2",
    "shift_block",
    "shift_runs",
]

MOST_EXPANSION = 100.0  # times the row's own
FACTOR = f"a factor above 0, up to {MOST_EXPANSION:g},"

Layout = Literal["contiguous", "interleaved"]
Order = Literal["fused", "paper"]


class Group(NamedTuple):
    """A row of the paper's Table 3: a strided CSC module, then `repeats` that keep the shape."""

    c_out: int
    kernel: int
    expand_first: int
    expand: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One ShiftNet."""

    stem: int
    groups: tuple[Group, ...]
    width: float = 1.0
    depth: float = 1.0
    resolution: int = 224
    num_classes: int = 1000


# Wu et al. 2018, Table 3, read as in the module's docstring.
# c_out kernel expand_first expand repeats
GROUPS_A = (
    Group(64, 5, 4, 4, 4),
    Group(128, 5, 4, 3, 5),
    Group(256, 3, 3, 2, 6),
    Group(512, 3, 2, 1, 2),
)
GROUPS_C = (
    Group(32, 3, 1, 1, 0),
    Group(64, 3, 1, 1, 3),
    Group(128, 3, 1, 1, 3),
    Group(256, 3, 1, 1, 2),
)


@dataclass(frozen=True, slots=True)
class ResVariant:
    """One ShiftResNet: a CIFAR ResNet whose blocks shift; `expand` multiplies a block's output."""

    blocks: int
    expand: int
    width: float = 1.0
    resolution: int = 32
    num_classes: int = 10


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def shift_runs(
    channels: int, kernel: int = 3, dilation: int = 1, layout: Layout = "contiguous"
) -> tuple[tuple[int, int, int], ...]:
    """Runs of a grouped shift: kernel² groups of equal size, each reading in its own direction.

    contiguous    groups one after the other, by the parity of (dy, dx) before dilation: both odd, only dy,
                  only dx, both even; so what a stride of 2 reads of a pixel lies together. The centre, with
                  the remaining channels, is last.
    interleaved   directions alternate from channel to channel, as the authors' CUDA code has them
    Raises        ShapeError with fewer channels than directions: nothing would move.
    Source        Wu et al. 2018, section 3.2; peterhj/shiftnet_cuda_v2
    """
    if kernel < 1 or kernel % 2 == 0 or dilation < 1:
        raise ShapeError(f"a shift needs an odd kernel and a positive dilation, not {kernel} and {dilation}")
    size, rest = divmod(channels, kernel * kernel)
    if size == 0:
        raise ShapeError(
            f"{channels} channels are too few for the {kernel**2} directions of a {kernel}x{kernel} shift"
        )
    reach = range(-(kernel // 2), kernel // 2 + 1)
    directions = [*itertools.product(reach, reach)]
    if layout == "interleaved":
        return _merged([(dy * dilation, dx * dilation) for dy, dx in directions] * size + [(0, 0)] * rest)
    if layout == "contiguous":
        directions.remove((0, 0))
        directions.sort(key=lambda direction: [step % 2 == 0 for step in direction])
        return (*((size, dy * dilation, dx * dilation) for dy, dx in directions), (size + rest, 0, 0))
    raise SmidgenError(f"no layout '{layout}'; there are contiguous and interleaved")


def _merged(offsets: list[tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Offsets of single channels as runs."""
    return tuple((len(list(run)), dy, dx) for (dy, dx), run in itertools.groupby(offsets))


def csc(
    c_in: int,
    c_out: int,
    kernel: int = 3,
    stride: int = 1,
    expand: float = 1,
    *,
    pool: bool = False,
    order: Order = "fused",
    dilation: int = 1,
    layout: Layout = "contiguous",
    style: Style = Style(),
) -> Node:
    """Conv-Shift-Conv: BN, ReLU, 1x1, BN, ReLU, shift, 1x1, with a residual around it.

    expand   width between the two convolutions over the input's; the product is rounded
    stride   on the second convolution, so that channels mix before the map shrinks
    pool     the module of a down-sampling group: c_out - c_in channels, beside a 3x3 average pool of x
    order    "paper" puts the shift right after the first convolution; they differ at borders only
    Source   Wu et al. 2018, section 4.1 and Figure 3
    """
    branch = c_out - c_in if pool else c_out
    if branch < 1:
        raise ShapeError(f"a pooled CSC of {c_in} channels needs more than that many out, not {c_out}")
    body = Chain(_shifted(c_in, round(c_in * expand), branch, kernel, stride, order, dilation, layout, style))
    if pool:
        beside = Pool("avg", 3, stride, padding=1) if stride > 1 else Chain()
        return Concat((("block", body), ("pool" if stride > 1 else "", beside)))
    if stride == 1 and c_in == c_out:
        return Sum((("", Chain()), ("block", body)))
    return Chain((("block", body),))


def sc2(
    c_in: int,
    c_out: int,
    kernel: int = 3,
    stride: int = 1,
    expand: float = 1,
    *,
    order: Order = "fused",
    dilation: int = 1,
    layout: Layout = "contiguous",
    style: Style = Style(),
) -> Node:
    """Shift-Conv-Shift-Conv: a CSC whose input is shifted too, before its first BatchNorm.

    Source   Wu et al. 2018, section 4.1
    """
    first = ("shift0", Shift(shift_runs(c_in, kernel, dilation, layout)))
    body = Chain(
        (first, *_shifted(c_in, round(c_in * expand), c_out, kernel, stride, order, dilation, layout, style))
    )
    if stride == 1 and c_in == c_out:
        return Sum((("", Chain()), ("block", body)))
    return Chain((("block", body),))


@functools.cache
def _shifted(
    c_in: int,
    mid: int,
    c_out: int,
    kernel: int,
    stride: int,
    order: Order,
    dilation: int,
    layout: Layout,
    style: Style,
) -> tuple[tuple[str, Node], ...]:
    """Children of a CSC body."""
    norm = (
        ("norm2", BatchNorm(mid, style.eps, style.momentum)),
        ("activation2", Activation(style.activation)),
    )
    shift = ("shift", Shift(shift_runs(mid, kernel, dilation, layout)))
    return (
        ("norm1", BatchNorm(c_in, style.eps, style.momentum)),
        ("activation1", Activation(style.activation)),
        ("conv1", Conv(c_in, mid, init=style.init)),
        *_ordered(order, norm, shift),
        ("conv2", Conv(mid, c_out, stride=stride, init=style.init)),
    )


def _ordered(
    order: Order, norm: tuple[tuple[str, Node], ...], shift: tuple[str, Node]
) -> tuple[tuple[str, Node], ...]:
    if order == "paper":
        return (shift, *norm)
    if order == "fused":
        return (*norm, shift)
    raise SmidgenError(f"no order '{order}'; there are fused and paper")


def shift_block(
    c_in: int,
    c_out: int,
    stride: int = 1,
    expand: float = 1,
    *,
    order: Order = "fused",
    dilation: int = 1,
    layout: Layout = "contiguous",
    style: Style = Style(),
) -> Sum:
    """Block of ShiftResNet: 1x1, BN, ReLU, shift, strided 1x1, BN, ReLU; no ReLU after the sum.

    expand   width between the two convolutions over the output's; the product is rounded
    Source   alvinwan/shiftresnet-cifar models/resnet.py, ShiftConv
    """
    mid = round(expand * c_out)
    widen = conv_norm(c_in, mid, 1, 1, style)
    norm = widen.children[1:]
    shift = ("shift", Shift(shift_runs(mid, 3, dilation, layout)))
    block = Chain(
        (
            widen.children[0],
            *_ordered(order, norm, shift),
            ("3", conv_norm(mid, c_out, 1, stride, style)),
        )
    )
    return Sum((shortcut(c_in, c_out, stride, style), ("block", block)))


# ── the networks ─────────────────────────────────────────────────────────────────────────────────


def _build(variant: Variant | ResVariant, request: Request) -> Node:
    own = dict(request.own)
    factor = own.pop("expand", 1.0)
    if not 0 < factor <= MOST_EXPANSION:
        raise SmidgenError(f"expand={factor}: {FACTOR} is needed")
    request = replace(request, own=own)
    if isinstance(variant, ResVariant):
        return _build_resnet(variant, request, factor)
    # The paper gives no initialisation; He et al.'s keeps the variance through ReLU.
    style = Style(init="fan_out_ungrouped" if request.init == "torchvision" else "fan_out")
    strides = Strides(request.dropped_strides)
    c_in = round_channels(variant.stem * variant.width)
    stem = Conv(request.c_in, c_in, 7, strides.take(2), pad(3), init=style.init)
    features: list[Node] = [stem]
    for group in variant.groups:
        c_out = max(round_channels(group.c_out * variant.width), 2 * c_in)
        features.append(_group(group, variant.depth, factor, c_in, c_out, strides.take(2), request, style))
        c_in = c_out
    features.append(numbered((BatchNorm(c_in, style.eps, style.momentum), Activation("relu"))))
    end = classifier(c_in, request.num_classes, request.dropout or 0.0, "uniform_fan_out")
    return Chain((("features", numbered(features)), *end))


def _group(
    group: Group,
    depth: float,
    factor: float,
    c_in: int,
    c_out: int,
    stride: int,
    request: Request,
    style: Style,
) -> Chain:
    expand = _expansion(group.expand_first * factor, c_in, group.kernel)
    first = csc(c_in, c_out, group.kernel, stride, expand, pool=True, style=style, **request.own)
    repeats = math.ceil(group.repeats * depth)
    if repeats == 0:
        return numbered([first])
    # One object for all of them, so that costing visits it once.
    expand = _expansion(group.expand * factor, c_out, group.kernel)
    again = csc(c_out, c_out, group.kernel, 1, expand, style=style, **request.own)
    return numbered([first, *[again] * repeats])


def _expansion(wanted: float, channels: int, kernel: int) -> float:
    """The expansion, or the least at which every direction of the shift has a channel."""
    return max(wanted, kernel * kernel / channels)


def _build_resnet(variant: ResVariant, request: Request, factor: float) -> Node:
    style = Style(init=default_init(request))

    def block(c_in: int, c_out: int, stride: int) -> Node:
        expand = _expansion(variant.expand * factor, c_out, 3)
        return shift_block(c_in, c_out, stride, expand, style=style, **request.own)

    return staged(variant.blocks, variant.width, request, style, block)


def _scaled(width: float, depth: float, resolution: int) -> Variant | ResVariant:
    """ShiftResNet-20-3 for pictures up to 64 pixels, ShiftNet-B above."""
    if resolution <= 64:
        return ResVariant(max(1, math.ceil(DEPTHS[20] * depth)), 3, width, resolution)
    return replace(_SHIFTNETS["shiftnet_b"], width=0.5 * width, depth=depth, resolution=resolution)


_SHIFTNETS = {
    "shiftnet_a": Variant(32, GROUPS_A),
    "shiftnet_b": Variant(32, GROUPS_A, width=0.5),  # every width halved, the stem's too
    "shiftnet_c": Variant(16, GROUPS_C),
}

FAMILY = Family(
    name="shiftnet",
    variants=_SHIFTNETS
    | {
        f"shiftresnet{layers}_e{expand}": ResVariant(blocks, expand)
        for layers, blocks in DEPTHS.items()
        for expand in (1, 3, 6, 9)
    },
    build=_build,
    scaled=_scaled,
    options=(
        Option("order", str, "fused, a shift right before its 1x1 convolution, or paper, before the norm."),
        Option("dilation", int, "pixels from each to the next that a shift reads."),
        Option("layout", str, "contiguous or interleaved, the channels of one direction."),
        Option("expand", float, "its expansions, times the baseline's.", reads=FACTOR),
    ),
    dip=STEADY,
    # Of ShiftResNet-20-3 these are the paper's expansions 1, 6 and 9.
    shapes=({"expand": 1 / 3}, {"expand": 2.0}, {"expand": 3.0}),
)
