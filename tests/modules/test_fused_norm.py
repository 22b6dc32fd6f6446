"""A BatchNorm and the activation behind it learn as one kernel, and as two where that could be seen."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import smidgen
from smidgen.graph import Activation, BatchNorm, Chain, Conv
from smidgen.kernels import norm
from smidgen.modules import joined
from smidgen.modules.tree import TreeModule
from smidgen.native.norm import ACTIVATIONS


def block() -> TreeModule:
    torch.manual_seed(3)
    chain = (
        ("conv", Conv(3, 9, 3)),
        ("norm", BatchNorm(9)),
        ("act", Activation("silu")),
        ("last", BatchNorm(9)),
    )
    return TreeModule(Chain(chain)).train()


def pictures(n: int = 4, side: int = 12) -> Tensor:
    return torch.randn(n, 3, side, side).contiguous(memory_format=torch.channels_last)


def calls(run: Callable[[], object]) -> list[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    return [event.key for event in profile.key_averages() if "norm" in event.key and "::" in event.key]


def one_by_one(model: TreeModule, x: Tensor) -> Tensor:
    for module in model.children():
        x = module(x)
    return x


def test_the_same_outputs_gradients_and_running_statistics_as_one_by_one() -> None:
    model, x = block(), pictures()
    other = copy.deepcopy(model)
    found, wanted = model(x), one_by_one(other, x)
    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(found)
    torch.autograd.backward((found, wanted), (gradient, gradient))
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)
    for name, buffer in other.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), buffer)


def test_it_is_one_kernel_while_training_only() -> None:
    model, x = block(), pictures()
    assert calls(lambda: model(x)) == ["smidgen::norm_act"]
    assert "smidgen::norm_act" not in calls(lambda: model.eval()(x))


def test_other_memory_formats_and_types_go_to_torch() -> None:
    model = block()
    assert "smidgen::norm_act" not in calls(lambda: copy.deepcopy(model).double()(pictures().double()))
    assert "smidgen::norm_act" not in calls(lambda: model(pictures().contiguous()))


@pytest.mark.parametrize("name", ["norm", "act"])
def test_who_listens_to_either_module_hears_it(name: str) -> None:
    model, heard = block(), []
    getattr(model, name).register_forward_hook(lambda *_: heard.append(name))
    model(pictures())
    assert heard == [name]


@pytest.mark.parametrize(
    "other",
    [
        nn.BatchNorm2d(9, momentum=None),
        nn.BatchNorm2d(9, affine=False),
        nn.BatchNorm2d(9, track_running_stats=False),
        nn.GroupNorm(3, 9),
        nn.Identity(),
    ],
)
def test_another_module_in_the_place_of_the_norm_is_run(other: nn.Module) -> None:
    model, x = block(), pictures()
    model.norm = other
    wanted = one_by_one(copy.deepcopy(model), x)
    torch.testing.assert_close(model(x), wanted)


def test_a_shift_and_the_convolution_of_the_chain_behind_it_are_one_kernel() -> None:
    network = smidgen.network("shiftresnet20_e3", num_classes=10, resolution=32)
    model = smidgen.create(network)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(torch.randn(1, 3, 32, 32))
    keys = {event.key for event in profile.key_averages()}
    assert "smidgen::shift_conv" in keys
    assert "smidgen::shift2d" not in keys


def test_norms_without_a_bias_or_a_counter_go_to_torch() -> None:
    for name in ("bias", "num_batches_tracked"):
        model, x = block(), pictures()
        setattr(model.norm, name, None)
        wanted = one_by_one(copy.deepcopy(model), x)
        torch.testing.assert_close(model(x), wanted)


def test_who_listens_to_all_modules_hears_both() -> None:
    model, heard = block(), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: heard.append(type(module)))
    try:
        model(pictures())
    finally:
        handle.remove()
    assert heard == [nn.Conv2d, nn.BatchNorm2d, nn.SiLU, nn.BatchNorm2d, TreeModule]


def test_every_activation_of_the_kernel_has_its_module() -> None:
    assert set(joined._KINDS.values()) == set(ACTIVATIONS) == set(norm._IN_TORCH)
