"""The Triton kernels in Triton's interpreter, or compiled where there is a CUDA device."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("triton")
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from smidgen.kernels import triton as kernels

Runs = list[int]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# One rounding to the type is at most 2⁻⁹, 2⁻¹² or 2⁻²⁴ of the value; sums in float32 come before it.
TOLERANCE = {torch.bfloat16: 2**-8, torch.float16: 2**-11, torch.float32: 2**-18}

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def one_hot_shift(x: Tensor, runs: Sequence[int]) -> Tensor:
    """A depthwise convolution with a single one in every kernel; exact where x is finite."""
    offsets = [
        (dy, dx) for n, dy, dx in zip(runs[::3], runs[1::3], runs[2::3], strict=True) for _ in range(n)
    ]
    _, channels, height, width = x.shape
    kernel = torch.zeros(channels, 1, 2 * height + 1, 2 * width + 1, dtype=x.dtype, device=x.device)
    for c, (dy, dx) in enumerate(offsets):
        if abs(dy) <= height and abs(dx) <= width:
            kernel[c, 0, height + dy, width + dx] = 1
    return F.conv2d(x, kernel, padding=(height, width), groups=channels)


def indexed_shift(x: Tensor, runs: Sequence[int]) -> Tensor:
    """One element at a time, straight from the definition."""
    y = torch.zeros(x.shape, dtype=x.dtype)
    offsets = [
        (dy, dx) for n, dy, dx in zip(runs[::3], runs[1::3], runs[2::3], strict=True) for _ in range(n)
    ]
    _, _, height, width = x.shape
    for c, (dy, dx) in enumerate(offsets):
        for h in range(max(0, -dy), min(height, height - dy)):
            for w in range(max(0, -dx), min(width, width - dx)):
                y[:, c, h, w] = x[:, c, h + dy, w + dx]
    return y


def in_layout(x: Tensor, layout: str) -> Tensor:
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return x.transpose(2, 3).contiguous().transpose(2, 3)
    if layout == "every other":
        return torch.stack([x, x], 4).flatten(3)[..., ::2]
    return x


def assert_close(found: Tensor, exact: Tensor, dtype: torch.dtype) -> None:
    """Equal to rounding, measured against the largest value because sums cancel."""
    assert found.shape == exact.shape
    assert found.dtype == dtype
    if exact.numel():
        error = (found.double() - exact).abs().max().item()
        assert error <= TOLERANCE[dtype] * max(1.0, exact.abs().max().item())


LAYOUTS = ["contiguous", "channels_last", "transposed", "every other"]


@st.composite
def runs_of(draw: st.DrawFn, channels: int) -> Runs:
    """Runs that cover so many channels, with offsets inside, at the border and far beyond the map."""
    offset = st.one_of(
        st.integers(-3, 3), st.integers(-9, 9), st.sampled_from([-(2**62), -(2**31), 2**31, 2**40])
    )
    runs: Runs = []
    while channels:
        count = draw(st.integers(1, channels))
        runs += [count, draw(offset), draw(offset)]
        channels -= count
    return runs


@st.composite
def maps(draw: st.DrawFn, dtypes: Sequence[torch.dtype], widest: int = 20) -> tuple[Tensor, Runs]:
    """A map in any layout, and runs for its channels."""
    batch, channels = draw(st.integers(0, 3)), draw(st.integers(1, widest))
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    torch.manual_seed(draw(st.integers(0, 99)))
    x = (torch.randn(batch, channels, height, width) * 9).to(draw(st.sampled_from(dtypes)))
    return in_layout(x.to(DEVICE), draw(st.sampled_from(LAYOUTS))), draw(runs_of(channels))


ANY = [
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.complex64,
    torch.complex128,
    torch.int64,
    torch.uint8,
]


@settings(deadline=None, max_examples=40)
@given(maps([*ANY, torch.bool]))
def test_shift_equals_the_definition_in_every_type(case: tuple[Tensor, Runs]) -> None:
    x, runs = case
    y = kernels.shift2d(x, runs)
    assert torch.equal(y.cpu(), indexed_shift(x.cpu(), runs))
    assert y.dtype == x.dtype
    assert y.stride() == torch.empty_like(x).stride()


@settings(deadline=None, max_examples=15)
@given(maps([torch.float32], widest=7))
def test_shift_equals_a_one_hot_depthwise_convolution(case: tuple[Tensor, Runs]) -> None:
    x, runs = case
    assert torch.equal(kernels.shift2d(x, runs), one_hot_shift(x, runs))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bits", [torch.int16, torch.int32, torch.int64])
def test_shift_keeps_the_bits_of_every_nan(bits: torch.dtype, layout: str) -> None:
    floating = {torch.int16: torch.bfloat16, torch.int32: torch.float32, torch.int64: torch.float64}[bits]
    limits = torch.iinfo(bits)
    # Exponent all ones: infinities and NaN with every payload, quiet and signalling; half of them negative.
    pattern = torch.full((1,), float("inf"), dtype=floating).view(bits)
    payload = torch.randint(0, 100, (2, 5, 4, 6), dtype=bits)
    x = in_layout(
        (payload | pattern | torch.where(payload % 2 == 0, limits.min, 0).to(bits)).to(DEVICE), layout
    )
    y = kernels.shift2d(x.view(floating), [2, 0, 0, 3, 1, -2])
    assert torch.equal(y.view(bits).cpu(), indexed_shift(x.cpu(), [2, 0, 0, 3, 1, -2]))


def test_shift_keeps_negative_zero_and_resolves_conjugates() -> None:
    x = torch.full((1, 1, 2, 2), -0.0, device=DEVICE)
    assert torch.signbit(kernels.shift2d(x, [1, 0, 0])).all()
    z = torch.randn(1, 3, 4, 5, dtype=torch.complex64, device=DEVICE).conj()
    expected = indexed_shift(z.cpu().resolve_conj(), [3, -1, 1])
    assert torch.equal(kernels.shift2d(z, [3, -1, 1]).cpu(), expected)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Tensor, Runs, Tensor, Tensor | None, int]:
    x, runs = draw(maps(kernels.SUPPORTED, widest=40))
    x = x / 9
    outputs = draw(st.integers(1, 20))
    weight = torch.randn(outputs, x.shape[1], 1, 1).to(x.dtype).to(DEVICE)
    bias = torch.randn(outputs).to(x.dtype).to(DEVICE) if draw(st.booleans()) else None
    return x, runs, weight, bias, draw(st.integers(1, 3))


def compare_convolution(x: Tensor, runs: Runs, weight: Tensor, bias: Tensor | None, stride: int) -> None:
    """Values, layout and all gradients against autograd in float64."""
    exact_x, exact_weight = (t.double().contiguous().requires_grad_() for t in (x, weight))
    exact_bias = torch.zeros(len(weight), device=x.device).double() if bias is None else bias.double()
    exact_bias.requires_grad_()
    exact = F.conv2d(one_hot_shift(exact_x, runs), exact_weight, exact_bias, stride)

    y = kernels.shift_conv(x, runs, weight, bias, stride)
    assert_close(y, exact.detach(), x.dtype)
    last = x.stride(1) == 1 and x.shape[1] > 1 and not x.is_contiguous()
    assert y.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    gradient = torch.randn(exact.shape).to(x.dtype).to(x.device)
    leaves = (exact_x, exact_weight, exact_bias)
    exact_gradients = torch.autograd.grad(exact, leaves, gradient.double())
    found = kernels.shift_conv_backward(gradient, x, runs, weight, stride, (True, True, True))
    for one, exact_one in zip(found, exact_gradients, strict=True):
        assert one is not None
        assert_close(one, exact_one, x.dtype)
    assert found[0] is not None
    assert found[0].stride() == torch.empty_like(x).stride()


@settings(deadline=None, max_examples=40)
@given(convolutions())
def test_convolution_and_its_gradients_equal_autograd(
    case: tuple[Tensor, Runs, Tensor, Tensor | None, int],
) -> None:
    compare_convolution(*case)


@pytest.mark.parametrize("layout", LAYOUTS[:2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dtype", kernels.SUPPORTED, ids=str)
def test_convolution_of_a_map_that_is_not_square(dtype: torch.dtype, stride: int, layout: str) -> None:
    """19 channels in groups of 5, 1, 9 and 4, more pixels than one part of the sum over pixels."""
    x = in_layout(torch.randn(2, 19, 7, 5).to(dtype).to(DEVICE), layout)
    weight, bias = torch.randn(17, 19, 1, 1).to(dtype).to(DEVICE), torch.randn(17).to(dtype).to(DEVICE)
    compare_convolution(x, [5, 0, 0, 1, -1, 1, 9, 2, -3, 4, 100, 0], weight, bias, stride)


@pytest.mark.parametrize(
    "shape", [(0, 3, 4, 5), (2, 3, 1, 1), (2, 3, 1, 6), (2, 1, 6, 1), (1, 1, 1, 1)], ids=str
)
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_of_empty_batches_and_single_pixels(shape: tuple[int, ...], stride: int) -> None:
    channels = shape[1]
    weight = torch.randn(4, channels, 1, 1, device=DEVICE)
    runs = [1, 0, 0] if channels == 1 else [2, 0, 0, 1, -1, 1]
    compare_convolution(torch.randn(shape, device=DEVICE), runs, weight, None, stride)


def test_only_wanted_gradients_are_computed() -> None:
    x, weight = torch.randn(1, 2, 3, 3, device=DEVICE), torch.randn(4, 2, 1, 1, device=DEVICE)
    gradient = torch.randn(1, 4, 3, 3, device=DEVICE)
    for wanted in [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]:
        found = kernels.shift_conv_backward(gradient, x, [2, 0, 1], weight, 1, wanted)
        assert tuple(one is not None for one in found) == wanted


def test_gradients_accept_another_layout_than_the_maps() -> None:
    x, weight = torch.randn(2, 6, 4, 5, device=DEVICE), torch.randn(3, 6, 1, 1, device=DEVICE)
    gradient = torch.randn(2, 3, 4, 5, device=DEVICE)
    runs = [4, 0, 1, 2, -1, 0]
    expected = kernels.shift_conv_backward(gradient, x, runs, weight, 1, (True, True, True))
    for strange in (in_layout(gradient, "channels_last"), in_layout(gradient, "every other")):
        found = kernels.shift_conv_backward(strange, x, runs, weight, 1, (True, True, True))
        assert all(torch.equal(one, other) for one, other in zip(found[:2], expected[:2], strict=True))  # type: ignore[arg-type]
        assert found[2] is not None
        assert expected[2] is not None
        assert_close(found[2], expected[2].double(), torch.float32)


def test_weight_gradient_is_the_same_in_every_call() -> None:
    x, weight = torch.randn(4, 20, 9, 7, device=DEVICE), torch.randn(18, 20, 1, 1, device=DEVICE)
    gradient = torch.randn(4, 18, 9, 7, device=DEVICE)
    _, first, _ = kernels.shift_conv_backward(gradient, x, [20, 1, 1], weight, 1, (False, True, False))
    _, second, _ = kernels.shift_conv_backward(gradient, x, [20, 1, 1], weight, 1, (False, True, False))
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from smidgen.kernels import triton as kernels

TYPES = {"partial": "*fp32", "offsets": "*i32", "tiles": "*i32", "pixels": "i64"}
FLAGS = {"has_bias": True, "stride": 2, "block_pixels": 32, "block_channels": 32}


def build(kernel, last, type_):
    function = kernel.fn if hasattr(kernel, "configs") else kernel
    blocks = kernel.configs[0].kwargs if hasattr(kernel, "configs") else {}
    constants = {"last": last, **FLAGS, **blocks}
    types = dict.fromkeys(("x", "y", "weight", "bias", "gradient", "x_gradient"), "*" + type_) | TYPES
    names = [(p.name, p.is_constexpr) for p in function.params]
    signature = {name: "constexpr" if fixed else types.get(name, "i32") for name, fixed in names}
    source = ASTSource(function, signature, {name: constants[name] for name, fixed in names if fixed})
    assert compile(source, target=GPUTarget("cuda", 80, 32)).asm["cubin"]


for last in (False, True):
    build(kernels._shift_kernel, last, "i16")
    build(kernels._forward_kernel, last, "bf16")
    build(kernels._input_gradient_kernel, last, "bf16")
    build(kernels._weight_gradient_kernel, last, "bf16")
"""


def test_every_kernel_compiles_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    """The interpreter runs Python that the compiler refuses."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    environment["PYTHONPATH"] = str(Path(kernels.__file__).parents[2])
    command = [sys.executable, "-c", COMPILE]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dtype", kernels.SUPPORTED, ids=str)
def test_compiled_kernels_equal_autograd_at_the_size_of_a_network(
    dtype: torch.dtype, stride: int, layout: str
) -> None:
    x = in_layout(torch.randn(5, 131, 29, 27, device="cuda").to(dtype), layout)
    weight = (torch.randn(70, 131, 1, 1, device="cuda") / 11).to(dtype)
    runs = [15, -1, -1, 15, -1, 0, 14, -1, 1, 30, 0, -1, 14, 0, 1, 14, 1, -1, 14, 2**40, 0, 15, 1, 1]
    compare_convolution(x, runs, weight, torch.randn(70, device="cuda").to(dtype), stride)
    shifted = kernels.shift2d(x, runs)
    assert torch.equal(shifted.cpu(), indexed_shift(x.cpu(), runs))
    assert shifted.stride() == torch.empty_like(x).stride()
