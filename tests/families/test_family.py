"""The pieces that families share: rounding, strides, preprocessing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.families.family import Strides, Style, conv_norm, default_preprocess, numbered, round_channels
from smidgen.graph import Activation, Conv, pad


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (32 * 1.1, 32),  # 35.2 would round to 32, which is over 0.9 * 35.2 = 31.7
        (40 * 1.1, 48),  # 44 -> 48
        (24 * 1.4, 32),  # B4: 33.6 -> 32
        (16 * 1.2, 24),  # B3: 19.2 -> 16 is under 0.9 * 19.2 = 17.28
        (11, 16),  # 8 is under 9.9
        (3, 8),
        (12, 16),
        (1280 * 4.3, 5504),
        (16 * 4.3, 72),
    ],
)
def test_channels_round_as_tensorflows_efficientnet(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_without_the_limit_v2_may_lose_more_than_a_tenth() -> None:
    assert round_channels(16 * 1.2, limit=0.0) == 16
    assert round_channels(11, limit=0.0) == 8


@given(st.floats(0.1, 10_000), st.sampled_from([4, 8, 16]))
def test_rounded_channels_are_multiples_and_lose_at_most_a_tenth(channels: float, divisor: int) -> None:
    rounded = round_channels(channels, divisor)
    assert rounded % divisor == 0
    assert rounded >= max(divisor, 0.9 * channels)
    assert rounded <= max(divisor, channels + 1.5 * divisor)


def test_first_strides_are_dropped_first() -> None:
    strides = Strides(2)
    assert [strides.take(stride) for stride in (2, 1, 2, 2, 1, 2)] == [1, 1, 1, 2, 1, 2]


def test_padding_keeps_the_size_at_stride_one() -> None:
    assert Style().padding(5) == pad(2)
    assert Style().padding(1) == pad(0)
    assert Style(same=True).padding(5) == "same"
    assert Style(same=True).padding(1) == pad(0)


def test_conv_norm_ends_in_an_activation_only_where_active() -> None:
    style = Style("relu6")
    assert conv_norm(3, 4, 3, 2, style).children[-1] == ("2", Activation("relu6"))
    assert len(conv_norm(3, 4, 3, 2, style, active=False).children) == 2
    assert conv_norm(3, 4, 3, 2, style).children[0] == ("0", Conv(3, 4, 3, 2, pad(1)))


def test_numbered_children_count_from_zero() -> None:
    assert [name for name, _ in numbered([Activation("relu")] * 3).children] == ["0", "1", "2"]


def test_colour_is_normalised_by_imagenet_and_anything_else_by_a_half() -> None:
    colour, grey = default_preprocess(3, 64), default_preprocess(1, 28)
    assert (colour.mean, colour.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (grey.mean, grey.std, grey.resize) == ((0.5,), (0.5,), 28)
