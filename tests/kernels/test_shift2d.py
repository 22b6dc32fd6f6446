import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smidgen.kernels import reference, shift2d
from smidgen.kernels.offsets import flat_runs
from smidgen.spec import ShapeError

Pairs = list[tuple[int, int]]


def slow_shift(x: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """One element at a time, straight from the definition."""
    _, channels, height, width = x.shape
    y = torch.zeros(x.shape, dtype=x.dtype)
    for c in range(channels):
        dy, dx = pairs[c]
        for h in range(height):
            for w in range(width):
                if 0 <= h + dy < height and 0 <= w + dx < width:
                    y[:, c, h, w] = x[:, c, h + dy, w + dx]
    return y


@st.composite
def shift_cases(draw: st.DrawFn) -> tuple[Tensor, Pairs]:
    batch, channels = draw(st.integers(0, 3)), draw(st.integers(1, 7))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    reach = st.integers(-8, 8)
    pairs = draw(st.lists(st.tuples(reach, reach), min_size=channels, max_size=channels))
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int16]))
    x = torch.randint(-99, 99, (batch, channels, height, width)).to(dtype)
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    return x, pairs


@settings(deadline=None, max_examples=200)
@given(shift_cases())
def test_shift_equals_the_definition(case: tuple[Tensor, Pairs]) -> None:
    x, pairs = case
    y = shift2d(x, torch.tensor(pairs))
    assert torch.equal(y, slow_shift(x, pairs))
    assert y.stride() == x.stride()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 20), st.integers(1, 70),
    st.sampled_from([torch.uint8, torch.bfloat16, torch.float32, torch.float64]), st.booleans(), st.data(),
)  # fmt: skip
def test_wide_maps_equal_the_reference(
    batch: int, channels: int, height: int, width: int, dtype: torch.dtype, last: bool, data: st.DataObject
) -> None:
    reach = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
    runs, left = [], channels
    while left:
        count = data.draw(st.integers(1, left))
        runs.append((count, *data.draw(reach)))
        left -= count
    x = torch.randint(0, 99, (batch, channels, height, width)).to(dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(shift2d(x, runs), reference.shift2d(x, flat_runs(runs)))
    strided = torch.randint(0, 99, (batch, channels, width, 2 * height)).to(dtype).transpose(2, 3)[:, :, ::2]
    assert torch.equal(shift2d(strided, runs), reference.shift2d(strided, flat_runs(runs)))


# From 24 MB on, planes of whole cache lines are written past it: those, others, rows too long for a mask.
# Each channel moves in a direction of its own, or many do in the same.
@pytest.mark.parametrize("alike", [1, 20])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        ((7, 65, 128, 128), torch.float32),
        ((9, 43, 130, 128), torch.float32),
        ((3, 70, 179, 180), torch.float32),
        ((2, 15, 16, 65536), torch.uint8),
    ],
)
def test_large_tensors_equal_the_reference(
    size: tuple[int, int, int, int], dtype: torch.dtype, alike: int
) -> None:
    x = torch.randint(0, 99, size).to(dtype)
    offsets = [(c // alike % 7 - 3, c // alike % 5 - 2) for c in range(size[1])]
    assert torch.equal(shift2d(x, offsets), reference.shift2d(x, flat_runs(offsets)))


def test_positive_offset_reads_below_and_to_the_right() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    expected = torch.tensor([[5.0, 0, 0], [8, 0, 0], [0, 0, 0]])
    assert torch.equal(shift2d(x, [(1, 2)])[0, 0], expected)


def test_tensor_pairs_and_runs_mean_the_same() -> None:
    x = torch.randn(2, 5, 4, 3)
    pairs = [(0, 1), (0, 1), (-1, 0), (0, 0), (0, 1)]
    expected = shift2d(x, torch.tensor(pairs))
    assert torch.equal(shift2d(x, pairs), expected)
    assert torch.equal(shift2d(x, [(2, 0, 1), (1, -1, 0), (1, 0, 0), (1, 0, 1)]), expected)


@pytest.mark.parametrize("pair", [(3, 0), (0, -4), (7, 7), (-(2**40), 0), (2**40, 2**40)])
def test_shift_past_the_edge_is_all_zero(pair: tuple[int, int]) -> None:
    assert not shift2d(torch.ones(1, 1, 3, 4), [pair]).any()


@pytest.mark.parametrize("special", [math.inf, math.nan, -0.0])
def test_infinities_nans_and_signed_zeros_stay_where_they_belong(special: float) -> None:
    x = torch.ones(1, 2, 3, 3)
    x[0, 0, 1, 1] = special
    y = shift2d(x, [(0, 1), (0, 0)])
    assert y.view(torch.int32)[0, 0, 1, 0] == x.view(torch.int32)[0, 0, 1, 1]
    assert y[0, 1].eq(1).all()
    assert y[0, 0, :, :2].eq(1).sum() == 5


def test_unmoved_shift_is_a_copy_not_a_view() -> None:
    x = torch.ones(1, 1, 2, 2)
    shift2d(x, [(0, 0)]).zero_()
    assert x.all()


@pytest.mark.parametrize("pairs", [[(0, 0), (1, -2), (-9, 1)], [(2, 2), (2, 2), (0, 1)]])
def test_gradient_is_the_adjoint_to_second_order(pairs: Pairs) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    offsets = torch.tensor(pairs)
    assert torch.autograd.gradcheck(lambda x: shift2d(x, offsets), x)
    assert torch.autograd.gradgradcheck(lambda x: shift2d(x, offsets), x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [0, 2])
def test_operator_passes_opcheck(layout: torch.memory_format, batch: int) -> None:
    x = torch.randn(batch, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    torch.library.opcheck(torch.ops.smidgen.shift2d.default, (x, [2, 1, -1, 1, 0, 9]))


@pytest.mark.parametrize(
    ("shape", "offsets", "words"),
    [
        ((1, 3, 2, 2), [(0, 0), (0, 1)], "cover 2 channels and the tensor has 3"),
        ((1, 3, 2, 2), [(2, 0, 1), (2, 0, 0)], "cover 4 channels and the tensor has 3"),
        ((1, 1, 2, 2), [(0, 0, 1), (1, 0, 0)], "count of at least 1"),
        ((3, 2, 2), [(0, 0)] * 3, r"shape \[3, 2, 2\]"),
        ((1, 1, 2, 2), [(0, 0), (1, 0, 0)], "rows of"),
        ((1, 1, 2, 2), torch.zeros(1, 2), "torch.float32; whole pixels"),
        ((1, 1, 2, 2), torch.zeros(2, dtype=torch.int64), r"offsets have shape \[2\]"),
    ],
)
def test_offsets_that_do_not_fit_are_refused_in_one_line(
    shape: tuple[int, ...], offsets: Tensor | Sequence[Sequence[int]], words: str
) -> None:
    with pytest.raises(ShapeError, match=words) as error:
        shift2d(torch.zeros(shape), offsets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("far", [2**62, 2**63, -(2**63), 10**30])
def test_offsets_of_any_size_see_nothing_and_have_a_gradient(far: int) -> None:
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    y = shift2d(x, [(far, 0), (0, far)])
    assert not y.any()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert not gradient.any()
