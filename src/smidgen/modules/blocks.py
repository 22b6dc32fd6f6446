"""The blocks of the three papers as modules of their own: the families' trees, nothing else."""

from __future__ import annotations

from typing import Any

from smidgen import families
from smidgen.families import efficientnet, shiftnet, squeezenet
from smidgen.families.family import Style
from smidgen.graph import Chain, Conv, Shift
from smidgen.modules.create import NetworkModule
from smidgen.modules.tree import TreeModule
from smidgen.spec import UnknownNameError

__all__ = ["CSC", "SC2", "Fire", "MBConv", "ShiftConv", "SqueezeExcite", "SqueezeNet", "UnknownVersionError"]


class Fire(TreeModule):
    """Fire module of SqueezeNet: float[N, inplanes, H, W] -> float[N, expand1x1 + expand3x3 planes, H, W].

    Initialised as torchvision's SqueezeNet: `families.squeezenet.fire` has the sources.
    """

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__(squeezenet.fire(inplanes, squeeze_planes, expand1x1_planes, expand3x3_planes))
        self.inplanes = inplanes


class UnknownVersionError(UnknownNameError, ValueError):
    """A version of SqueezeNet that does not exist."""


class SqueezeNet(NetworkModule):
    """SqueezeNet by version: float[N, 3, H, W] -> float[N, num_classes].

    Raises   UnknownVersionError, which is a ValueError too, for another version than those that exist.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        versions = [name.removeprefix("squeezenet") for name in families.names("squeezenet1_*")]
        if version not in versions:
            raise UnknownVersionError(f"no SqueezeNet version '{version}'; there are {', '.join(versions)}")
        super().__init__(families.network(f"squeezenet{version}", num_classes=num_classes, dropout=dropout))
        self.num_classes = num_classes


class MBConv(TreeModule):
    """Inverted bottleneck of EfficientNet: float[N, c_in, H, W] -> float[N, c_out, H/stride, W/stride].

    options  of `families.efficientnet.mbconv`: squeeze, fused, drop_path, style
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, expand: int = 6, **options: Any
    ) -> None:
        options.setdefault("style", Style("silu", init="fan_out"))
        super().__init__(efficientnet.mbconv(c_in, c_out, kernel, stride, expand, **options))


class SqueezeExcite(TreeModule):
    """Gate of channels through a bottleneck: float[N, channels, H, W], shape kept."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__(efficientnet.squeeze_excite(channels, squeezed, Style("silu", init="fan_out")))


class ShiftConv(TreeModule):
    """Grouped shift and its 1x1 convolution: float[N, c_in, H, W] -> float[N, c_out, H/stride, W/stride].

    kernel, dilation, layout  of `families.shiftnet.shift_runs`
    Raises   ShapeError with fewer channels than directions.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        bias: bool = False,
        dilation: int = 1,
        layout: shiftnet.Layout = "contiguous",
    ) -> None:
        shift = Shift(shiftnet.shift_runs(c_in, kernel, dilation, layout))
        conv = Conv(c_in, c_out, stride=stride, bias=bias, init="fan_out")
        super().__init__(Chain((("shift", shift), ("conv", conv))))


class CSC(TreeModule):
    """Conv-Shift-Conv of ShiftNet: float[N, c_in, H, W] -> float[N, c_out, H/stride, W/stride].

    options  of `families.shiftnet.csc`: pool, order, dilation, layout, style
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, expand: int = 1, **options: Any
    ) -> None:
        options.setdefault("style", Style(init="fan_out"))
        super().__init__(shiftnet.csc(c_in, c_out, kernel, stride, expand, **options))


class SC2(TreeModule):
    """Shift-Conv-Shift-Conv of the Shift paper: a CSC whose input is shifted too.

    options  of `families.shiftnet.sc2`: order, dilation, layout, style
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, expand: int = 1, **options: Any
    ) -> None:
        options.setdefault("style", Style(init="fan_out"))
        super().__init__(shiftnet.sc2(c_in, c_out, kernel, stride, expand, **options))
