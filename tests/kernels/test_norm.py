"""`norm_act` against torch's own BatchNorm and activation in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smidgen.kernels.norm import can_norm, norm_act
from smidgen.spec import ShapeError

EPS = 1e-3
ACTIVATIONS = {"": lambda z: z, "relu": F.relu, "relu6": F.relu6, "silu": F.silu}
Inputs = tuple[Tensor, Tensor, Tensor]


def oracle(inputs: Inputs, activation: str) -> Tensor:
    x, weight, bias = inputs
    y: Tensor = ACTIVATIONS[activation](F.batch_norm(x, None, None, weight, bias, True, 0.0, EPS))
    return y


def drawn(n: int, channels: int, height: int, width: int, middle: float = 0.0) -> Inputs:
    """Maps whose memory is [n, h, w, c], also where strides could not tell."""
    x = (torch.randn(n, height, width, channels) + middle).permute(0, 3, 1, 2)
    return x.requires_grad_(), torch.randn(channels).requires_grad_(), torch.randn(channels).requires_grad_()


def in_float64(inputs: Inputs) -> Inputs:
    x, weight, bias = (one.detach().double().requires_grad_() for one in inputs)
    return x, weight, bias


def near(found: Tensor, wanted: Tensor) -> bool:
    """To rounding of sums of numbers about as large as 1."""
    return bool((found - wanted).abs().max() <= 2e-5 * wanted.abs().max().clamp(min=1.0))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@settings(deadline=None, max_examples=40)
@given(
    # With a handful of pixels a gradient is a difference of nearly equal numbers, unknown in float32.
    size=st.tuples(st.integers(2, 5), st.integers(1, 70), st.integers(2, 12), st.integers(3, 12)),
    middle=st.sampled_from([0.0, 30.0]),
    seed=st.integers(0, 2**31),
)
def test_values_statistics_and_gradients_are_those_of_float64(
    activation: str, size: tuple[int, int, int, int], middle: float, seed: int
) -> None:
    torch.manual_seed(seed)
    inputs = drawn(*size, middle)
    exact = in_float64(inputs)
    wanted = oracle(exact, activation)
    y, mean, variance = norm_act(*inputs, EPS, activation)
    assert y.stride() == inputs[0].stride()
    assert near(y, wanted)
    assert near(mean, exact[0].mean((0, 2, 3)))
    assert near(variance, exact[0].var((0, 2, 3), correction=0))
    # Rounding decides what a number nearer to a bend than that lets through.
    line = F.batch_norm(exact[0], None, None, exact[1], exact[2], True, 0.0, EPS)
    gradient = torch.randn_like(wanted)
    gradient[(line.abs() < 1e-3) | ((line - 6).abs() < 1e-3)] = 0
    for found, right in zip(
        torch.autograd.grad(y, inputs, gradient.float()),
        torch.autograd.grad(wanted, exact, gradient),
        strict=True,
    ):
        assert near(found, right)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    torch.manual_seed(0)
    inputs = drawn(16, 9, 28, 28)
    gradient = torch.randn_like(inputs[0])
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y, *_ = norm_act(*inputs, EPS, "relu")
            made.append((y, *torch.autograd.grad(y, inputs, gradient)))
    finally:
        torch.set_num_threads(before)
    for other in made[1:]:
        assert all(torch.equal(a, b) for a, b in zip(made[0], other, strict=True))


def test_gradients_of_gradients_are_those_of_torch() -> None:
    torch.manual_seed(1)
    inputs = drawn(3, 5, 4, 4)

    def second(y: Tensor, given: Inputs) -> Tensor:
        (first,) = torch.autograd.grad((y**2).sum(), given[0], create_graph=True)
        (found,) = torch.autograd.grad((first**2).sum(), given[1])
        return found

    exact = in_float64(inputs)
    found = second(norm_act(*inputs, EPS, "silu")[0], inputs)
    torch.testing.assert_close(found.double(), second(oracle(exact, "silu"), exact), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_operator_keeps_what_it_promises_to_torch() -> None:
    inputs = drawn(2, 5, 4, 3)
    torch.library.opcheck(torch.ops.smidgen.norm_act, (*inputs, EPS, "relu6"))


def test_a_single_number_far_off_does_not_swallow_the_others() -> None:
    x, weight, bias = drawn(2, 3, 40, 40)
    x = x.detach()
    x[0, :, 0, 0] = 1e4
    _, mean, variance = norm_act(x, weight, bias, EPS)
    exact = x.double().var((0, 2, 3), correction=0)
    assert near(variance, exact)
    assert bool(((mean - x.double().mean((0, 2, 3))).abs() <= 2e-5 * exact.sqrt()).all())


def test_what_it_cannot_take_is_left_to_torch() -> None:
    x = drawn(2, 6, 4, 4)[0]
    assert can_norm(x)
    assert not can_norm(x.contiguous())
    assert not can_norm(x.double())
    assert not can_norm(x.to("meta"))
    assert not can_norm(drawn(1, 6, 1, 1)[0])
    assert not can_norm(torch.nn.Parameter(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_norm(x)
    with torch.autograd.forward_ad.dual_level():
        assert not can_norm(x)
    torch.func.vmap(lambda one: one if can_norm(one) is False else 1 / 0)(torch.randn(2, 2, 6, 4, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": torch.randn(2, 4, 5, 5)}, "needs .* in channels_last"),
        ({"weight": torch.randn(5)}, r"weight of shape \[5\]; it needs \[4\]"),
        ({"bias": torch.randn(4).double()}, "bias as torch.float64"),
        ({"x": drawn(1, 4, 1, 1)[0]}, "two pixels"),
        ({"activation": "tanh"}, "'tanh'; it knows relu, relu6, silu"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change: dict[str, object], words: str) -> None:
    x, weight, bias = drawn(2, 4, 5, 5)
    wanted = {"x": x, "weight": weight, "bias": bias, "eps": EPS, "activation": ""} | change
    with pytest.raises(ShapeError, match=words) as error:
        norm_act(**wanted)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_what_is_no_number_makes_statistics_that_are_none() -> None:
    x, weight, bias = drawn(2, 3, 5, 5)
    x.detach()[0, 1, 2, 2] = float("nan")
    _, mean, variance = norm_act(x, weight, bias, EPS)
    assert mean.isnan().tolist() == variance.isnan().tolist() == [False, True, False]
