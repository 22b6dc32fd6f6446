"""Changes of colour: pictures float[n, C, h, w] on the 0..1 scale, and a strength float[n] for each.

At a strength of 0 a picture stays as it is. Each picture is worked on by itself, whatever stands beside it.
What Pillow and torchvision define on bytes (levels, thresholds, histograms) is done on the nearest byte.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "autocontrasted",
    "brightened",
    "contrasted",
    "equalised",
    "inverted",
    "posterised",
    "saturated",
    "sharpened",
    "solarised",
    "turned",
]

# ITU-R BT.601: how much red, green and blue give to the grey of a picture.
_GREY = (0.299, 0.587, 0.114)
# Stands for a chroma of zero, far below the least that two different values have.
_LEAST = 1e-12


def brightened(pictures: Tensor, strengths: Tensor) -> Tensor:
    """Away from black: times 1 + strength."""
    return _further(pictures, torch.zeros_like(pictures[:, :1, :1, :1]), strengths)


def saturated(pictures: Tensor, strengths: Tensor) -> Tensor:
    """Away from the grey picture; one that is grey has no colour to gain or lose."""
    return pictures if pictures.shape[1] == 1 else _further(pictures, _grey(pictures), strengths)


def contrasted(pictures: Tensor, strengths: Tensor) -> Tensor:
    """Away from the mean of the grey picture."""
    return _further(pictures, _grey(pictures).mean((2, 3), keepdim=True), strengths)


def sharpened(pictures: Tensor, strengths: Tensor) -> Tensor:
    """Away from the picture smoothed by 3x3 weights, 5 in the middle and 1 around; its rim stays."""
    if min(pictures.shape[2:]) < 3:
        return pictures
    inner = pictures[..., 1:-1, 1:-1]
    smooth = pictures.clone()
    smooth[..., 1:-1, 1:-1] = (9 * F.avg_pool2d(pictures, 3, stride=1) + 4 * inner) / 13
    return _further(pictures, smooth, strengths)


def turned(pictures: Tensor, turns: Tensor) -> Tensor:
    """Hues turned by parts of the colour circle; value and saturation (of HSV) stay, and so do greys."""
    if pictures.shape[1] == 1:
        return pictures
    red, green, blue = pictures.unbind(1)
    value = pictures.amax(1)
    chroma = value - pictures.amin(1)
    # Sums of products: selecting and remainders are several times as slow.
    at_red = (value == red).float()
    at_green = (value == green) * (1 - at_red)
    at_blue = 1 - at_red - at_green
    ahead = at_red * (green - blue) + at_green * (blue - red) + at_blue * (red - green)
    base = 2 * at_green + 4 * at_blue + 6 * turns[:, None, None]
    sixths = (base + ahead / chroma.clamp(min=_LEAST))[:, None]
    # Smith 1978, doi:10.1145/965139.807361: each channel falls from the value by the chroma and rises again
    # once a turn, red, green and blue two sixths after each other.
    phase = torch.tensor([5.0, 3.0, 1.0], device=pictures.device)[:, None, None]
    place = sixths + phase
    place = place - 6 * (place / 6).floor()
    return value[:, None] - chroma[:, None] * (2 - (place - 2).abs()).clamp(0, 1)


def posterised(pictures: Tensor, strengths: Tensor) -> Tensor:
    """So many of the lowest of each byte's eight bits become zero."""
    step = 2.0 ** strengths.round()[:, None, None, None]
    return torch.floor(_bytes(pictures) / step) * step / 255


def solarised(pictures: Tensor, strengths: Tensor) -> Tensor:
    """Bytes at or above 255 x (1 - strength) turn into their negative."""
    threshold = (255 - 255 * strengths)[:, None, None, None]
    bright = (_bytes(pictures) >= threshold) & (threshold < 255)
    return (bright.float() - pictures).abs()


def inverted(pictures: Tensor, _strengths: Tensor) -> Tensor:
    """The negative."""
    return 1 - pictures


def autocontrasted(pictures: Tensor, _strengths: Tensor) -> Tensor:
    """Each channel stretched, so that it goes from black to full; a plain one stays."""
    low, high = pictures.amin((2, 3), keepdim=True), pictures.amax((2, 3), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    return (pictures - torch.where(high > low, low, 0.0)) / span


def equalised(pictures: Tensor, _strengths: Tensor) -> Tensor:
    """Each channel's bytes spread so that all are about equally frequent, as Pillow's ImageOps.equalize."""
    levels = _bytes(pictures).long().flatten(2).flatten(0, 1)
    rows, pixels = levels.shape
    offsets = 256 * torch.arange(rows, device=levels.device)[:, None]
    counts = torch.bincount((levels + offsets).flatten(), minlength=256 * rows).view(rows, 256)
    below = counts.cumsum(1) - counts
    brightest = counts.gather(1, levels.amax(1, keepdim=True))
    step = (pixels - brightest) // 255
    spread = (below + step // 2) // step.clamp(min=1)
    changed = spread.clamp(max=255).gather(1, levels).view(pictures.shape) / 255
    return torch.where((step > 0).view(*pictures.shape[:2], 1, 1), changed, pictures)


def _grey(pictures: Tensor) -> Tensor:
    """The grey picture, float[n, 1, h, w]."""
    if pictures.shape[1] == 1:
        return pictures
    red, green, blue = pictures.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None]


def _further(pictures: Tensor, origin: Tensor, strengths: Tensor) -> Tensor:
    """Times 1 + strength as far from another picture, within 0..1."""
    return (origin + (1 + strengths[:, None, None, None]) * (pictures - origin)).clamp(0, 1)


def _bytes(pictures: Tensor) -> Tensor:
    """The nearest of 0..255, as floats."""
    return (255 * pictures).round()
