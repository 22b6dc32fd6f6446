"""A shift and the convolution after it run as one kernel, and as two where that could be seen."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smidgen import modules
from smidgen.families.shiftnet import shift_runs
from smidgen.graph import Chain, Conv, GlobalPool, Shift
from smidgen.kernels import shift2d
from smidgen.modules.feature_maps import feature_maps
from smidgen.modules.tree import TreeModule


def block() -> modules.ShiftConv:
    torch.manual_seed(3)
    return modules.ShiftConv(18, 8, stride=2, bias=True)


def in_two_steps(model: modules.ShiftConv, x: Tensor) -> Tensor:
    y: Tensor = model.conv(model.shift(x))  # type: ignore[operator]
    return y


def calls(run: Callable[[], object]) -> list[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    return [event.key for event in profile.key_averages() if event.key.startswith("smidgen::")]


def test_the_two_are_one_kernel_with_the_same_result() -> None:
    model, x = block(), torch.randn(2, 18, 9, 9)
    torch.testing.assert_close(model(x), in_two_steps(model, x))
    assert calls(lambda: model(x)) == ["smidgen::shift_conv"]
    assert calls(lambda: copy.deepcopy(model)(x)) == ["smidgen::shift_conv"]


@pytest.mark.parametrize("name", ["shift", "conv"])
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_who_listens_to_either_module_hears_it(name: str, kind: str) -> None:
    model, x = block(), torch.randn(2, 18, 9, 9, requires_grad=True)
    heard = []
    getattr(getattr(model, name), f"register_{kind}_hook")(lambda *_: heard.append(name))
    model(x).sum().backward()
    assert heard == [name]


def test_another_module_in_the_place_of_the_convolution_is_run() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = 2 * super().forward(x)
            return y

    x = torch.randn(2, 18, 9, 9)
    for other in (
        Doubled(18, 8, 1),
        nn.Conv2d(18, 8, 3, padding=1),
        nn.Conv2d(18, 8, 1, groups=2),
        nn.Conv2d(18, 8, 1, (1, 2)),
    ):
        model = block()
        model.conv = other
        torch.testing.assert_close(model(x), other(shift2d(x, shift_runs(18, 3))))


def test_feature_maps_show_the_shifted_map() -> None:
    shift, conv = Shift(shift_runs(9, 3)), Conv(9, 4, stride=2, bias=False, init="fan_out")
    model = TreeModule(Chain((("shift", shift), ("conv", conv), ("pool", GlobalPool()))))
    x = torch.randn(1, 9, 6, 6)
    maps = feature_maps(model, x)
    assert torch.equal(maps[1], shift2d(x, shift_runs(9, 3)))
    torch.testing.assert_close(maps[2], model.conv(maps[1]))  # type: ignore[operator]
