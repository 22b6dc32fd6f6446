"""Every change of colour against torchvision's own, picture by picture, with the same parameter."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smidgen.train import colour
from torchvision_oracle import torchvision_models

Change = Callable[[Tensor, Tensor], Tensor]


def judge() -> Any:
    torchvision_models()
    return importlib.import_module("torchvision.transforms.functional")


def pictures(channels: int = 3) -> Tensor:
    """Bytes: noise, few levels, a plain one, and greys and primaries, whose hues are edge cases."""
    random = torch.Generator().manual_seed(0)
    some = torch.randint(0, 256, (7, channels, 24, 40), generator=random, dtype=torch.uint8)
    some[1] = some[1] // 64 * 60 + 20
    some[2] = 77
    some[3] = some[3, :1]
    some[4] = some[4] // 128 * 255
    some[5, :, :, 1:] = 9
    return some


STRENGTHS = torch.tensor([0.7, -0.9, 0.4, -0.3, 0.5, -0.5, 0.0])


def by_picture(change: Callable[[Tensor, float], Tensor], some: Tensor, values: Tensor) -> Tensor:
    rows = zip(some, values.tolist(), strict=True)
    return torch.stack([change(one, value) for one, value in rows])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightened, "adjust_brightness"),
        (colour.saturated, "adjust_saturation"),
        (colour.contrasted, "adjust_contrast"),
        (colour.sharpened, "adjust_sharpness"),
    ],
)
def test_blends_are_torchvisions(ours: Change, theirs: str, channels: int) -> None:
    unit, change = pictures(channels) / 255, getattr(judge(), theirs)
    expected = by_picture(change, unit, 1 + STRENGTHS)
    # torchvision's luma has 0.2989 for red where the standard and Pillow have 0.299.
    torch.testing.assert_close(ours(unit, STRENGTHS), expected, rtol=0, atol=3e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_hues_turn_as_torchvisions(channels: int) -> None:
    unit, turns = pictures(channels) / 255, STRENGTHS / 2
    expected = by_picture(judge().adjust_hue, unit, turns)
    torch.testing.assert_close(colour.turned(unit, turns), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_posterised_as_torchvisions(channels: int) -> None:
    some, taken = pictures(channels), torch.tensor([0.0, 1, 2, 3, 4, 5, 6])
    expected = by_picture(lambda one, bits: judge().posterize(one, 8 - int(bits)), some, taken)
    torch.testing.assert_close(colour.posterised(some / 255, taken), expected / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_solarised_as_torchvisions(channels: int) -> None:
    some, levels = pictures(channels), torch.arange(7) / 9 + 0.1
    expected = by_picture(lambda one, level: judge().solarize(one, 255 - 255 * level), some, levels)
    torch.testing.assert_close(colour.solarised(some / 255, levels), expected / 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(colour.autocontrasted, "autocontrast"), (colour.equalised, "equalize"), (colour.inverted, "invert")],
)
def test_whole_changes_are_torchvisions(ours: Change, theirs: str, channels: int) -> None:
    some = pictures(channels)
    expected = torch.stack([getattr(judge(), theirs)(one) for one in some]) / 255
    least = 1 / 255 if theirs == "autocontrast" else 1e-6  # of bytes, torchvision's is cut off to whole ones
    torch.testing.assert_close(ours(some / 255, STRENGTHS), expected, rtol=0, atol=least)


@pytest.mark.parametrize(
    "change",
    [
        colour.brightened,
        colour.saturated,
        colour.contrasted,
        colour.sharpened,
        colour.turned,
        colour.posterised,
        colour.solarised,
    ],
)
def test_no_strength_changes_nothing(change: Change) -> None:
    unit = pictures() / 255
    torch.testing.assert_close(change(unit, torch.zeros(7)), unit, rtol=0, atol=1e-6)


def test_grey_pictures_have_no_colour_to_change() -> None:
    unit = pictures(1) / 255
    assert colour.saturated(unit, STRENGTHS) is unit
    assert colour.turned(unit, STRENGTHS) is unit


def test_two_by_two_pixels_are_too_few_to_sharpen() -> None:
    assert colour.sharpened(unit := torch.rand(7, 3, 2, 2), STRENGTHS) is unit
