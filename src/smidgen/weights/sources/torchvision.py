"""Weights that torchvision publishes for the networks of this library."""

from __future__ import annotations

from typing import NamedTuple

from smidgen.graph import Interpolation, Preprocess
from smidgen.weights.catalogue import Published

__all__ = ["ROWS"]


class _Scale(NamedTuple):
    """Mean and deviation per channel, on the 0..1 scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class _Origin(NamedTuple):
    """Who trained the weights, and the tag that torchvision's file name carries for it."""

    source: str
    tag: str = ""


_NET = _Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = _Scale((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

_OWN = _Origin("trained by torchvision")
_TIMM = _Origin("ported from rwightman/pytorch-image-models", "_rwightman")
_LUKE = _Origin("ported from lukemelas/EfficientNet-PyTorch", "_lukemelas")
_AUTO = _Origin("ported from google/automl")


def _row(
    network: str,
    key: str,
    sha256_prefix: str,
    resize: int,
    crop: int,
    interpolation: Interpolation,
    scale: _Scale,
    top1: float,
    top5: float,
    origin: _Origin,
) -> Published:
    """One line of the table below."""
    return Published(
        network=network,
        key=key,
        url=f"https://download.pytorch.org/models/{network}{origin.tag}-{sha256_prefix}.pth",
        sha256_prefix=sha256_prefix,
        resolution=crop,
        preprocess=Preprocess(resize, interpolation, scale.mean, scale.std),
        top1=top1,
        top5=top5,
        source=f"torchvision 0.28, {origin.source}",
        licence="BSD-3-Clause",
    )


# torchvision 0.28, models/efficientnet.py and models/squeezenet.py: URL, metrics and transforms of each
# entry, and its comment on where the weights were ported from. File names end in the prefix of their SHA-256.
# fmt: off
ROWS = (
    #    network              key            sha256   resize crop filter    scale  top-1   top-5   origin
    _row("efficientnet_b0",   "imagenet",    "7f5810bc", 256, 224, "bicubic",  _NET,  77.692, 93.532, _TIMM),
    _row("efficientnet_b1",   "imagenet",    "c27df63c", 255, 240, "bilinear", _NET,  79.838, 94.934, _OWN),
    _row("efficientnet_b1",   "imagenet_v1", "bac287d4", 256, 240, "bicubic",  _NET,  78.642, 94.186, _TIMM),
    _row("efficientnet_b2",   "imagenet",    "c35c1473", 288, 288, "bicubic",  _NET,  80.608, 95.310, _TIMM),
    _row("efficientnet_b3",   "imagenet",    "b3899882", 320, 300, "bicubic",  _NET,  82.008, 96.054, _TIMM),
    _row("efficientnet_b4",   "imagenet",    "23ab8bcd", 384, 380, "bicubic",  _NET,  83.384, 96.594, _TIMM),
    _row("efficientnet_b5",   "imagenet",    "1a07897c", 456, 456, "bicubic",  _NET,  83.444, 96.628, _LUKE),
    _row("efficientnet_b6",   "imagenet",    "24a108a5", 528, 528, "bicubic",  _NET,  84.008, 96.916, _LUKE),
    _row("efficientnet_b7",   "imagenet",    "c5b4e57e", 600, 600, "bicubic",  _NET,  84.122, 96.908, _LUKE),
    _row("efficientnet_v2_s", "imagenet",    "dd5fe13b", 384, 384, "bilinear", _NET,  84.228, 96.878, _OWN),
    _row("efficientnet_v2_m", "imagenet",    "dc08266a", 480, 480, "bilinear", _NET,  85.112, 97.156, _OWN),
    _row("efficientnet_v2_l", "imagenet",    "59c71312", 480, 480, "bicubic",  _HALF, 85.808, 97.788, _AUTO),
    _row("squeezenet1_0",     "imagenet",    "b66bff10", 256, 224, "bilinear", _NET,  58.092, 80.420, _OWN),
    _row("squeezenet1_1",     "imagenet",    "b8a52dc0", 256, 224, "bilinear", _NET,  58.178, 80.624, _OWN),
)
# fmt: on
