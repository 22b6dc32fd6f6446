"""`shift_conv` against a one-hot depthwise convolution and a 1x1 one, for every backend that runs here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smidgen import native
from smidgen.kernels import cpu, reference, shift2d, shift_conv
from smidgen.kernels.backends import chosen
from smidgen.kernels.decompose import decompositions
from smidgen.spec import ShapeError

Run = tuple[int, int, int]
BACKENDS = [pytest.param(module, id=module.__name__.rpartition(".")[2]) for module in (cpu, reference)]


def one_hot(x: Tensor, runs: Sequence[Run]) -> Tensor:
    """The shift as the depthwise convolution that it replaces."""
    reach = max(1, *(abs(number) for run in runs for number in run[1:]))
    size = 2 * reach + 1
    kernels = torch.zeros(x.shape[1], 1, size, size, dtype=x.dtype)
    channel = 0
    for count, dy, dx in runs:
        kernels[channel : channel + count, 0, reach + dy, reach + dx] = 1
        channel += count
    return F.conv2d(x, kernels, padding=reach, groups=x.shape[1])


def oracle(x: Tensor, runs: Sequence[Run], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    return F.conv2d(one_hot(x, runs), weight, bias)[:, :, ::stride, ::stride]


@dataclass
class Case:
    x: Tensor
    runs: list[Run]
    weight: Tensor
    bias: Tensor | None
    stride: int

    @property
    def flat(self) -> list[int]:
        return [number for run in self.runs for number in run]


@st.composite
def cases(draw: st.DrawFn, dtype: torch.dtype = torch.float32) -> Case:
    reach = st.integers(-4, 4)
    runs = draw(st.lists(st.tuples(st.integers(1, 20), reach, reach), min_size=1, max_size=5))
    channels = sum(run[0] for run in runs)
    torch.manual_seed(draw(st.integers(0, 2**31)))
    side = st.integers(1, 9) | st.integers(10, 24)  # the large ones are computed in several blocks
    size = (draw(st.integers(0, 3)), channels, draw(side), draw(side))
    x = torch.randn(size).to(dtype)
    form = draw(st.sampled_from(["contiguous", "channels_last", "every second column", "transposed"]))
    if form == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif form == "every second column":
        x = torch.randn(*size[:3], 2 * size[3]).to(dtype)[..., ::2]
    elif form == "transposed":
        x = x.transpose(2, 3)
    c_out = draw(st.integers(1, 40) | st.integers(120, 150))  # from 128 the input is gathered first
    bias = torch.randn(c_out).to(dtype) if draw(st.booleans()) else None
    return Case(x, runs, torch.randn(c_out, channels, 1, 1).to(dtype), bias, draw(st.integers(1, 3)))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_forward_equals_one_hot_depthwise_and_pointwise(backend: ModuleType, case: Case) -> None:
    y = backend.shift_conv(case.x, case.flat, case.weight, case.bias, case.stride)
    torch.testing.assert_close(
        y, oracle(case.x, case.runs, case.weight, case.bias, case.stride), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=100)
@given(case=cases())
def test_backward_is_the_gradient_of_the_two_convolutions(backend: ModuleType, case: Case) -> None:
    x, weight = case.x.double().requires_grad_(), case.weight.double().requires_grad_()
    bias = (torch.zeros(len(weight)) if case.bias is None else case.bias).double().requires_grad_()
    y = oracle(x, case.runs, weight, bias, case.stride)
    gradient = torch.randn(y.shape)
    wanted = torch.autograd.grad(y, (x, weight, bias), gradient.double())
    made = backend.shift_conv_backward(
        gradient, case.x, case.flat, case.weight, case.stride, (True, True, True)
    )
    for found, exact in zip(made, wanted, strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precisions_are_rounded_once(backend: ModuleType, dtype: torch.dtype, rounding: float) -> None:
    # Sums in float32 of products of halves; the result is off by one rounding of the result.
    @settings(deadline=None, max_examples=40)
    @given(case=cases(dtype))
    def check(case: Case) -> None:
        y = backend.shift_conv(case.x, case.flat, case.weight, case.bias, case.stride)
        bias = None if case.bias is None else case.bias.double()
        exact = oracle(case.x.double(), case.runs, case.weight.double(), bias, case.stride)
        # The reference adds the bias after a rounding; twice the step covers both.
        assert y.dtype == dtype
        assert ((y.double() - exact).abs() <= 2 * rounding * exact.abs() + 4 * rounding).all()

    check()


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_gradients_of_half_precisions_are_rounded_once(dtype: torch.dtype, rounding: float) -> None:
    @settings(deadline=None, max_examples=60)
    @given(case=cases(dtype))
    def check(case: Case) -> None:
        x, weight = case.x.double().requires_grad_(), case.weight.double().requires_grad_()
        bias = torch.zeros(len(weight)).double().requires_grad_()
        y = oracle(x, case.runs, weight, bias, case.stride)
        gradient = torch.randn(y.shape).to(dtype)
        exact = torch.autograd.grad(y, (x, weight, bias), gradient.double())
        made = cpu.shift_conv_backward(
            gradient, case.x, case.flat, case.weight, case.stride, (True, True, True)
        )
        for found, wanted in zip(made, exact, strict=True):
            assert found is not None
            assert found.dtype == dtype
            assert ((found.double() - wanted).abs() <= rounding * wanted.abs() + 1e-3).all()

    check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("c_out", "stride"), [(5, 1), (5, 2), (130, 1)])
def test_what_is_not_finite_reaches_only_the_pixels_that_look_at_it(
    dtype: torch.dtype, form: torch.memory_format, c_out: int, stride: int
) -> None:
    # Five runs of odd lengths: where they are multiplied in pairs, some meet one of another run, one none
    runs = [(1, -1, 0), (3, 0, 1), (2, 1, 1), (5, -2, -1), (1, 0, 0), (3, 1, 0)]
    flat = [number for run in runs for number in run]
    torch.manual_seed(0)
    weight = torch.randn(c_out, 15, 1, 1).to(dtype)
    for number, value in enumerate((torch.inf, -torch.inf, torch.nan) * 5):
        x = torch.randn(1, 15, 9, 7).to(dtype).contiguous(memory_format=form)
        x[0, number, number % 9, 6 - number % 7] = value
        looks = ~shift2d(x, runs)[:, :, ::stride, ::stride].isfinite().all(1)[0]
        y = cpu.shift_conv(x, flat, weight, None, stride)
        assert torch.equal(~y.isfinite().all(1)[0], looks)
        assert torch.equal(~y.isfinite().any(1)[0], looks)
        # Of the weights, those of its channel; of the input's gradient, nothing.
        grad_x, grad_weight, _ = cpu.shift_conv_backward(
            torch.ones_like(y), x, flat, weight, stride, (True, True, False)
        )
        assert grad_x is not None
        assert grad_weight is not None
        assert grad_x.isfinite().all()
        others = grad_weight.isfinite().all((0, 2, 3))
        assert bool(others[number]) != bool(looks.any())
        assert others[torch.arange(15) != number].all()


def test_bfloat16_is_multiplied_by_the_processor_where_it_can_be() -> None:
    # Its products take numbers below 2^-126 for zero; as float32 they are kept.
    x = torch.full((1, 4, 3, 3), 2.0**-128, dtype=torch.bfloat16)
    weight = torch.full((2, 4, 1, 1), 2.0**20, dtype=torch.bfloat16)
    y = cpu.shift_conv(x, [4, 0, 0], weight, None, 1)
    expected = 0 if native.isa() == "avx512_bf16" else 4 * 2.0**-108
    assert (y == expected).all()


@settings(deadline=None, max_examples=100)
@given(case=cases())
def test_the_operator_keeps_the_memory_format(case: Case) -> None:
    for form in (torch.contiguous_format, torch.channels_last):
        x = case.x.contiguous(memory_format=form)
        expected = F.conv2d(x, case.weight.contiguous(memory_format=form), stride=case.stride)
        y = shift_conv(x, case.runs, case.weight, case.bias, case.stride)
        assert (
            y.is_contiguous(memory_format=form) == expected.is_contiguous(memory_format=form)
            or x.shape[1] == 1
            or x.numel() == 0  # nothing lies anywhere
        )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_to_second_order(stride: int, bias: bool) -> None:
    runs = [(2, 1, -1), (1, 0, 0), (2, -1, 9)]
    x = torch.randn(2, 5, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 5, 1, 1, dtype=torch.float64, requires_grad=True)
    given_bias = torch.randn(3, dtype=torch.float64, requires_grad=True) if bias else None
    inputs = (x, weight) if given_bias is None else (x, weight, given_bias)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return shift_conv(x, runs, weight, bias, stride)

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_only_the_gradients_that_are_wanted_are_made(frozen: str) -> None:
    tensors = {"x": torch.randn(2, 4, 5, 5), "weight": torch.randn(3, 4, 1, 1), "bias": torch.randn(3)}
    for name, tensor in tensors.items():
        tensor.requires_grad_(name != frozen)
    shift_conv(tensors["x"], [(4, 0, 1)], tensors["weight"], tensors["bias"]).sum().backward()  # type: ignore[no-untyped-call]
    assert {name for name, tensor in tensors.items() if tensor.grad is None} == {frozen}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [0, 2])
def test_operators_pass_opcheck(layout: torch.memory_format, batch: int) -> None:
    x = torch.randn(batch, 5, 6, 7).contiguous(memory_format=layout)
    weight, bias, runs = torch.randn(3, 5, 1, 1), torch.randn(3), [2, 1, -1, 1, 0, 0, 2, -1, 9]
    operators = torch.ops.smidgen
    inputs = [one.clone().requires_grad_() for one in (x, weight, bias)]
    torch.library.opcheck(operators.shift_conv.default, (inputs[0], runs, *inputs[1:], 2))
    gradient = torch.randn(batch, 3, 3, 4)
    for wanted in ([True, True, True], [True, False, False], [False, True, False]):
        torch.library.opcheck(operators.shift_conv_backward.default, (gradient, x, runs, weight, 2, wanted))


def test_a_weight_used_twice_has_the_right_gradients_with_a_graph_too() -> None:
    runs: list[Run] = [(2, 0, 1), (2, -1, 0)]
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    weight = torch.randn(4, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    twice = shift_conv(shift_conv(x, runs, weight).tanh(), runs, weight)
    exact = oracle(oracle(x, runs, weight, None, 1).tanh(), runs, weight, None, 1)
    (wanted,) = torch.autograd.grad(exact.square().sum(), weight, create_graph=True)
    for create_graph in (False, True):
        (found,) = torch.autograd.grad(
            twice.square().sum(), weight, retain_graph=True, create_graph=create_graph
        )
        torch.testing.assert_close(found, wanted)
    (again,) = torch.autograd.grad(found.square().sum(), weight)
    torch.testing.assert_close(again, torch.autograd.grad(wanted.square().sum(), weight)[0])


def test_an_expanded_gradient_counts_everywhere() -> None:
    x, weight = torch.randn(2, 4, 5, 6), torch.randn(3, 4, 1, 1, requires_grad=True)
    shift_conv(x, [(4, 0, 1)], weight).sum().backward()  # type: ignore[no-untyped-call]
    (wanted,) = torch.autograd.grad(oracle(x, [(4, 0, 1)], weight, None, 1).sum(), weight)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, wanted)


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (torch.randn(1, 3, 5, 4), r"gradient \[1, 3, 5, 4\].*the output was \[1, 3, 5, 5\]"),
        (torch.randn(1, 3, 5, 5).double(), "torch.float64.*torch.float32"),
    ],
)
def test_the_backward_operator_checks_what_it_is_given(gradient: Tensor, words: str) -> None:
    x, weight = torch.randn(1, 4, 5, 5), torch.randn(3, 4, 1, 1)
    with pytest.raises(ShapeError, match=words):
        torch.ops.smidgen.shift_conv_backward(gradient, x, [4, 0, 1], weight, 1, [True, True, True])


@pytest.mark.parametrize(("channels", "c_out"), [(0, 3), (4, 0)])
def test_no_channels_are_no_work(channels: int, c_out: int) -> None:
    x = torch.randn(2, channels, 3, 3, requires_grad=True)
    runs: list[Run] = [(channels, 0, 1)] if channels else []
    y = shift_conv(x, runs, torch.randn(c_out, channels, 1, 1))
    assert y.shape == (2, c_out, 3, 3)
    assert not y.any()
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert not x.grad.any()


def test_the_same_number_of_threads_gives_the_same_gradients() -> None:
    x = torch.randn(7, 24, 14, 14).contiguous(memory_format=torch.channels_last)
    weight, runs = torch.randn(32, 24, 1, 1), [8, 0, 1, 8, 1, 0, 8, 0, 0]
    gradient = torch.randn(7, 32, 14, 14).contiguous(memory_format=torch.channels_last)
    first = cpu.shift_conv_backward(gradient, x, runs, weight, 1, (True, True, True))
    for _ in range(20):
        again = cpu.shift_conv_backward(gradient, x, runs, weight, 1, (True, True, True))
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))  # type: ignore[arg-type]


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return shift_conv(
            shift2d(x, [(2, -1, 0), (2, 5, 5)]), [(1, 0, 1), (3, -2, 0)], self.weight, stride=2
        ).relu()


def operators_of(program: torch.export.ExportedProgram) -> set[str]:
    return {str(node.target) for node in program.graph.nodes if node.op == "call_function"}


# What torch's own code warns of.
THEIRS = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@THEIRS
def test_an_exported_program_holds_each_operator_as_one_node_and_decomposes() -> None:
    block, x = Block(), torch.randn(1, 4, 7, 6)
    program = torch.export.export(block, (x,))
    assert operators_of(program) == {
        "smidgen.shift2d.default", "smidgen.shift_conv.default", "aten.relu.default"
    }  # fmt: skip
    plain = program.run_decompositions(decompositions())
    known = {"slice", "pad", "cat", "conv2d", "relu", "zeros_like"}
    assert {name.split(".")[1] for name in operators_of(plain)} <= known
    torch.testing.assert_close(plain.module()(x), block(x))


@THEIRS
@pytest.mark.slow
def test_a_compiled_graph_is_whole_and_trains_to_the_same_gradients() -> None:
    block = Block()
    x = torch.randn(2, 4, 7, 6, requires_grad=True)
    compiled = torch.compile(block, fullgraph=True)
    torch.testing.assert_close(compiled(x), block(x))
    (plain,) = torch.autograd.grad(block(x).sum(), x)
    (found,) = torch.autograd.grad(compiled(x).sum(), x)
    torch.testing.assert_close(found, plain)


def test_autocast_converts_all_inputs() -> None:
    x, weight = torch.randn(2, 4, 5, 5), torch.randn(3, 4, 1, 1, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = shift_conv(x, [(4, 1, 0)], weight)
    assert y.dtype == torch.bfloat16
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": torch.randn(3, 5, 1, 1)}, r"weight of shape \[3, 5, 1, 1\].*needs \[c_out, 4, 1, 1\]"),
        ({"weight": torch.randn(3, 4, 3, 3)}, r"weight of shape \[3, 4, 3, 3\]"),
        ({"weight": torch.randn(3, 4)}, r"weight of shape \[3, 4\]"),
        ({"weight": torch.randn(3, 4, 1, 1).double()}, "float32 and its weight as torch.float64; convert"),
        ({"weight": torch.randn(3, 4, 1, 1, device="meta")}, "x on cpu and its weight on meta; move"),
        ({"bias": torch.randn(4)}, r"bias of shape \[4\]; it needs \[3\]"),
        ({"bias": torch.randn(3).half()}, "its bias as torch.float16"),
        ({"stride": 0}, "stride 0; it needs 1 or more"),
        ({"offsets": [(0.5, 1.0)] * 4}, r"offsets are \[\(0.5, 1.0\).*rows of integers"),
        ({"offsets": [4, 0]}, r"offsets are \[4, 0\]; rows of integers"),
        ({"offsets": [(3, 0, 1)]}, "cover 3 channels and the tensor has 4"),
        ({"offsets": torch.zeros(4, 3, 1, dtype=torch.int64)}, r"offsets have shape \[4, 3, 1\]"),
        ({"offsets": torch.zeros(4, 2)}, "whole pixels"),
        ({"x": torch.randn(4, 5, 5)}, r"shape \[4, 5, 5\]; it needs \[N, C, H, W\]"),
        ({"x": torch.zeros(1, 4, 5, 5, dtype=torch.int32)}, "torch.int32; it needs float32"),
        ({"x": torch.zeros(1, 4, 5, 5).to(torch.float8_e5m2)}, "torch.float8_e5m2; it needs float32"),
        ({"x": torch.zeros(1, 4, 5, 5).to_sparse()}, "x as torch.sparse_coo; it needs a dense tensor"),
        ({"weight": torch.zeros(3, 4, 1, 1).to_sparse()}, "weight as torch.sparse_coo"),
        ({"x": torch.zeros(1, 4, 5, 5).to_mkldnn()}, "x as torch._mkldnn"),
        ({"bias": 2}, "got a int as bias; it needs a tensor"),
        ({"offsets": torch.zeros(4, 2, dtype=torch.int64, device="meta")}, "keeps no numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change: dict[str, object], words: str) -> None:
    given = {"x": torch.randn(1, 4, 5, 5), "offsets": [(4, 0, 1)], "weight": torch.randn(3, 4, 1, 1)} | change
    with pytest.raises(ShapeError, match=words) as error:
        shift_conv(**given)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_stride_past_the_map_keeps_one_pixel_however_long_it_is() -> None:
    x, weight = torch.randn(1, 4, 5, 5), torch.randn(3, 4, 1, 1)
    far = shift_conv(x, [(4, 0, 1)], weight, stride=2**70)
    assert torch.equal(far, shift_conv(x, [(4, 0, 1)], weight, stride=5))


def test_the_native_kernels_run_where_they_are_built() -> None:
    assert native.missing() == ""
    assert native.isa() in native.isas()
    assert native.isas()[-1] in ("portable", "neon")
    assert chosen("shift_conv", "cpu", torch.float32).name == "cpu"
    assert chosen("shift2d", "cpu", torch.float64).name == "cpu"


def test_numbers_that_the_native_kernels_lack_go_to_the_reference_and_the_reason_is_told() -> None:
    choice = chosen("shift_conv", "cpu", torch.float64)
    assert choice.name == "reference"
    assert "float32" in choice.reason
    assert chosen("shift2d", "xpu", torch.float32).name == "reference"


def test_an_exported_program_works_under_autocast_too() -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = torch.nn.Conv2d(3, 4, 1)
            self.weight = torch.nn.Parameter(torch.randn(5, 4, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return shift_conv(self.before(x), [(2, 0, 1), (2, -1, 0)], self.weight)

    x = torch.randn(2, 3, 6, 6)
    block = Block()
    exported = torch.export.export(block, (x,)).module()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        y = exported(x)
        assert y.dtype == torch.bfloat16
        assert torch.equal(y, block(x))


@THEIRS
def test_transforms_of_torch_func_and_forward_mode_see_torchs_own_operators() -> None:
    runs = [(2, 0, 1), (3, -1, 0), (1, 0, 0)]
    torch.manual_seed(0)
    x, moves = torch.randn(2, 2, 6, 5, 4, dtype=torch.float64)
    weight, turns = torch.randn(2, 3, 6, 1, 1, dtype=torch.float64)

    def sum_of(x: Tensor, weight: Tensor) -> Tensor:
        return (shift_conv(shift2d(x, runs), runs, weight, stride=2) ** 2).sum()

    x.requires_grad_()
    weight.requires_grad_()
    along_x, along_weight = torch.autograd.grad(sum_of(x, weight), (x, weight))
    slope = (along_x * moves).sum() + (along_weight * turns).sum()
    x, weight = x.detach(), weight.detach()
    torch.testing.assert_close(torch.func.jvp(sum_of, (x, weight), (moves, turns))[1], slope)
    found = torch.func.grad(sum_of, (0, 1))(x, weight)
    torch.testing.assert_close(found, (along_x, along_weight))
    with torch.autograd.forward_ad.dual_level():
        dual: Callable[..., Tensor] = torch.autograd.forward_ad.make_dual
        undo: Callable[..., tuple[Tensor, Tensor]] = torch.autograd.forward_ad.unpack_dual
        torch.testing.assert_close(undo(sum_of(dual(x, moves), dual(weight, turns)))[1], slope)
    each = torch.func.vmap(sum_of, (0, None))(x[:, None], weight)
    torch.testing.assert_close(each, torch.stack([sum_of(one[None], weight) for one in x]))
