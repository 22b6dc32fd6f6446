import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from smidgen import graph
from smidgen.modules import Conv2dPadded, Conv2dSame, Shift
from smidgen.modules.leaves import Conv2dPicked, leaf_module


def tensorflow_same(x: Tensor, weight: Tensor, stride: int, dilation: int) -> np.ndarray:
    """Output by output, after TensorFlow's documentation of SAME: the extra pixel goes to the end."""
    kernel, (height, width) = weight.shape[-1], x.shape[2:]

    def before(size: int) -> int:
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        return total // 2

    y = np.zeros((-(-height // stride), -(-width // stride)))
    for h, w in np.ndindex(y.shape):
        for i, j in np.ndindex(kernel, kernel):
            row = h * stride - before(height) + i * dilation
            column = w * stride - before(width) + j * dilation
            if 0 <= row < height and 0 <= column < width:
                y[h, w] += float(x[0, 0, row, column] * weight[0, 0, i, j])
    return y


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [(7, 8), (1, 6), (12, 9)])
def test_same_padding_is_tensorflows(kernel: int, stride: int, dilation: int, size: tuple[int, int]) -> None:
    conv = leaf_module(graph.Conv(1, 1, kernel, stride, "same", dilation))
    x = torch.randn(1, 1, *size)
    expected = tensorflow_same(x, conv.get_parameter("weight").detach(), stride, dilation)
    np.testing.assert_allclose(conv(x).detach()[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_same_padding_on_even_maps_adds_only_at_the_bottom_and_right() -> None:
    conv = leaf_module(graph.Conv(1, 1, 3, 2, "same"))
    x = torch.randn(1, 1, 8, 8)
    padded = torch.zeros(1, 1, 9, 9)
    padded[:, :, :8, :8] = x
    expected = torch.nn.functional.conv2d(padded, conv.get_parameter("weight"), stride=2)
    torch.testing.assert_close(conv(x), expected)


def test_uneven_padding_puts_each_amount_on_its_side() -> None:
    conv = leaf_module(graph.Conv(1, 1, 1, padding=((1, 0), (2, 3))))
    assert isinstance(conv, Conv2dPadded)
    torch.nn.init.ones_(conv.weight)
    y = conv(torch.ones(1, 1, 1, 1))
    assert y.shape == (1, 1, 2, 6)
    assert y.nonzero().tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 2)])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_1x1_convolution_with_a_stride_is_torchs(stride: int, size: tuple[int, int]) -> None:
    conv = leaf_module(graph.Conv(4, 6, 1, stride, groups=2, bias=True))
    plain = torch.nn.Conv2d(4, 6, 1, stride, groups=2)
    plain.load_state_dict(conv.state_dict())
    x = torch.randn(3, 4, *size)
    torch.testing.assert_close(conv(x), plain(x))


STRIDING = """
import torch
from smidgen import graph
from smidgen.modules.leaves import Conv2dPicked, leaf_module
for channels in range(1, 18):
    for size in (8, 17):
        for number in range(8):
            x = torch.randn(16, channels, size, size).contiguous(memory_format=torch.channels_last)
            conv = graph.Conv(channels, 8, 1, 2, "same" if number % 2 else graph.pad(0))
            leaf_module(conv)(x.requires_grad_()).sum().backward()
            fresh = [torch.randn(count) for count in range(1, 200, 7)]  # trips over a broken heap
"""


def test_training_a_1x1_convolution_with_a_stride_does_not_break_the_heap() -> None:
    """As torch's own does on maps of few channels in channels_last; a process of its own may crash."""
    subprocess.run([sys.executable, "-c", STRIDING], check=True)


def test_plain_paddings_become_plain_convolutions() -> None:
    for conv in (graph.Conv(1, 1, 3, 2, graph.pad(1)), graph.Conv(1, 1, 5, 1, "same"), graph.Conv(1, 1)):
        assert type(leaf_module(conv)) is torch.nn.Conv2d
    assert type(leaf_module(graph.Conv(1, 1, 3, 2, "same"))) is Conv2dSame


def test_pools_are_torchs_with_the_settings_of_the_leaf() -> None:
    pool = leaf_module(graph.Pool("avg", 3, 2, 1, ceil_mode=True, count_include_pad=False))
    assert isinstance(pool, torch.nn.AvgPool2d)
    assert (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
    assert pool.ceil_mode
    assert not pool.count_include_pad
    assert isinstance(leaf_module(graph.Pool("max", 3, 2)), torch.nn.MaxPool2d)


def test_shift_module_has_no_state_and_reads_its_neighbours() -> None:
    shift = Shift(((1, 0, 1), (1, 0, 0)))
    assert not shift.state_dict()
    x = torch.randn(1, 2, 3, 4)
    y = shift(x)
    assert torch.equal(y[:, 0, :, :-1], x[:, 0, :, 1:])
    assert not y[:, 0, :, -1].any()
    assert torch.equal(y[:, 1], x[:, 1])


@pytest.mark.parametrize("kind", ["relu", "relu6", "silu", "sigmoid"])
def test_activations_are_torchs(kind: graph.ActivationKind) -> None:
    x = torch.linspace(-9, 9, 19)
    functions = {"relu": torch.relu, "relu6": torch.nn.functional.relu6, "sigmoid": torch.sigmoid}
    expected = functions[kind](x) if kind in functions else x * torch.sigmoid(x)
    torch.testing.assert_close(leaf_module(graph.Activation(kind))(x), expected)


@pytest.mark.parametrize("c_in", [1, 4, 6, 12])
@pytest.mark.parametrize("size", [15, 16])
def test_picked_convolution_equals_torchs_own_and_trains_in_channels_last(c_in: int, size: int) -> None:
    leaf = graph.Conv(c_in, 8, 1, 2)
    module = leaf_module(leaf)
    assert isinstance(module, Conv2dPicked)
    x = torch.randn(3, c_in, size, size)
    with torch.no_grad():
        expected = torch.nn.functional.conv2d(x, module.weight, None, 2)
    torch.testing.assert_close(module(x), expected)
    # In a process that survives: torch's own corrupts the heap here (see the module's docstring).
    module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    for _ in range(20):
        module(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()
