"""Shift networks: directions of channels, blocks, counts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen import families
from smidgen.families.shiftnet import csc, sc2, shift_block, shift_runs
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Node,
    Pool,
    Shift,
    Sum,
    cost,
    layers,
    leaves,
)
from smidgen.spec import Shape, ShapeError, SmidgenError


def offsets(runs: tuple[tuple[int, int, int], ...]) -> list[tuple[int, int]]:
    """Direction of every channel."""
    return [(dy, dx) for count, dy, dx in runs for _ in range(count)]


# ── the directions ───────────────────────────────────────────────────────────────────────────────────


def test_interleaved_directions_equal_the_authors() -> None:
    # peterhj/shiftnet_cuda_v2 with K = 3, M = 10
    expected = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (0, 0)]
    assert offsets(shift_runs(10, 3, layout="interleaved")) == expected


@pytest.mark.parametrize(("channels", "kernel"), [(9, 3), (29, 3), (64, 5), (51, 7)])
def test_interleaved_directions_follow_the_authors_formula(channels: int, kernel: int) -> None:
    moved = channels // kernel**2 * kernel**2
    expected = [((c // kernel) % kernel - kernel // 2, c % kernel - kernel // 2) for c in range(moved)]
    expected += [(0, 0)] * (channels - moved)
    assert offsets(shift_runs(channels, kernel, layout="interleaved")) == expected


def test_contiguous_groups_lie_by_what_a_stride_of_two_sees_of_a_pixel() -> None:
    assert shift_runs(20, 3) == (
        (2, -1, -1), (2, -1, 1), (2, 1, -1), (2, 1, 1), (2, -1, 0), (2, 1, 0), (2, 0, -1), (2, 0, 1),
        (4, 0, 0),
    )  # fmt: skip


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_stride_of_two_meets_each_of_four_pixels_once(kernel: int, dilation: int) -> None:
    # The channels that look as far modulo the stride read the same pixels: they lie side by side.
    runs = shift_runs(2 * kernel**2 + 1, kernel, dilation)
    met = [(dy % 2, dx % 2) for _, dy, dx in runs]
    assert len(list(itertools.groupby(met))) == 4
    assert runs[-1] == (3, 0, 0)


@given(st.integers(1, 400), st.sampled_from([1, 3, 5, 7]), st.integers(1, 3))
def test_layouts_differ_in_the_order_of_directions_only(channels: int, kernel: int, dilation: int) -> None:
    if channels < kernel**2:
        return
    one = offsets(shift_runs(channels, kernel, dilation))
    other = offsets(shift_runs(channels, kernel, dilation, "interleaved"))
    assert sorted(one) == sorted(other)
    assert len(one) == channels
    counts = {direction: one.count(direction) for direction in one}
    size, rest = divmod(channels, kernel**2)
    assert counts.pop((0, 0)) == size + rest
    assert set(counts.values()) <= {size}
    assert len(counts) == kernel**2 - 1


def test_dilation_multiplies_the_offsets() -> None:
    single, double = offsets(shift_runs(18, 3)), offsets(shift_runs(18, 3, 2))
    assert double == [(2 * dy, 2 * dx) for dy, dx in single]


@pytest.mark.parametrize(("channels", "kernel"), [(8, 3), (24, 5), (0, 3), (0, 1)])
@pytest.mark.parametrize("layout", ["contiguous", "interleaved"])
def test_fewer_channels_than_directions_are_refused(channels: int, kernel: int, layout: str) -> None:
    with pytest.raises(ShapeError, match="too few"):
        shift_runs(channels, kernel, 1, layout)


@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (0, 1), (-3, 1), (3, 0), (3, -1)])
def test_even_kernels_and_no_dilation_are_refused(kernel: int, dilation: int) -> None:
    with pytest.raises(ShapeError, match="odd kernel"):
        shift_runs(100, kernel, dilation)


@pytest.mark.parametrize("options", [{"layout": "random"}, {"order": "other"}])
@pytest.mark.parametrize("name", ["shiftnet_b", "shiftresnet20_e3"])
def test_unknown_layout_or_order_is_refused(name: str, options: dict[str, str]) -> None:
    with pytest.raises(SmidgenError, match="there are"):
        families.network(name, **options)  # type: ignore[arg-type]


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────


def kinds(node: Node) -> list[str]:
    short = {Conv: "conv", BatchNorm: "bn", Activation: "relu", Shift: "shift", Pool: "pool"}
    return [short[type(leaf)] for _, leaf in leaves(node)]


def test_csc_shifts_right_before_its_second_convolution() -> None:
    assert kinds(csc(16, 16)) == ["bn", "relu", "conv", "bn", "relu", "shift", "conv"]


def test_csc_in_the_papers_order_shifts_right_after_its_first() -> None:
    assert kinds(csc(16, 16, order="paper")) == ["bn", "relu", "conv", "shift", "bn", "relu", "conv"]


def test_sc2_shifts_its_input_too() -> None:
    assert kinds(sc2(16, 16)) == ["shift", "bn", "relu", "conv", "bn", "relu", "shift", "conv"]


def test_shift_block_is_that_of_the_authors_code() -> None:
    # alvinwan/shiftresnet-cifar: BN and ReLU after each convolution, none after the sum.
    assert kinds(shift_block(16, 16)) == ["conv", "bn", "relu", "shift", "conv", "bn", "relu"]
    assert kinds(shift_block(16, 16, order="paper")) == ["conv", "shift", "bn", "relu", "conv", "bn", "relu"]


def test_blocks_of_equal_shape_have_a_residual() -> None:
    for block in (csc(16, 16), sc2(16, 16), shift_block(16, 16)):
        assert isinstance(block, Sum)
        assert block.children[0] == ("", Chain())
    for block in (csc(16, 32), csc(16, 16, stride=2), sc2(16, 32)):
        assert isinstance(block, Chain)


def test_expansion_multiplies_the_input_of_csc_and_the_output_of_shift_block() -> None:
    def middle(block: Node) -> int:
        return next(leaf.c_out for path, leaf in leaves(block) if isinstance(leaf, Conv) and "block" in path)

    assert middle(csc(16, 48, expand=3)) == 48
    assert middle(shift_block(16, 32, expand=3)) == 96


def test_stride_is_on_the_second_convolution() -> None:
    for block in (csc(16, 32, stride=2), shift_block(16, 32, 2)):
        strides = [leaf.stride for path, leaf in leaves(block) if isinstance(leaf, Conv) and "block" in path]
        assert strides == [1, 2]


def test_pooled_csc_makes_what_the_pool_lacks_and_comes_first() -> None:
    block = csc(16, 48, stride=2, pool=True)
    assert isinstance(block, Concat)
    assert [name for name, _ in block.children] == ["block", "pool"]
    last, pool = layers(block, Shape(16, 8, 8))[-2:]
    assert (str(last.out), str(pool.out)) == ("32x4x4", "16x4x4")
    assert pool.node == Pool("avg", 3, 2, padding=1)
    with pytest.raises(ShapeError, match="more than"):
        csc(16, 16, stride=2, pool=True)


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────


# Our reading of the paper's table, in thousands of parameters and millions of MACs. Jeon & Kim 2018
# measured 371 M for B and 1.4 G for A from the same description; the paper prints 4.1 M, 1.1 M, 0.78 M
# parameters, and no published figure stands for C's MACs.
@pytest.mark.parametrize(
    ("name", "params", "macs"), [("a", 4189, 1424), ("b", 1183, 370.96), ("c", 694, 97.2)]
)
def test_shiftnets_have_the_counts_of_the_documented_reading(name: str, params: int, macs: float) -> None:
    total = families.network(f"shiftnet_{name}").cost()
    assert round(total.params / 1e3) == params
    assert total.macs / 1e6 == pytest.approx(macs, rel=5e-4)


@pytest.mark.parametrize(("name", "macs"), [("a", 1.4), ("b", 0.371)])
def test_macs_of_a_and_b_equal_those_measured_by_jeon_and_kim(name: str, macs: float) -> None:
    digits = len(str(macs).split(".")[1])
    assert round(families.network(f"shiftnet_{name}").cost().macs / 1e9, digits) == macs


# alvinwan/shiftresnet-cifar's blocks. README prints 95,642.
SHIFTRESNETS = {
    (20, 1): (34_906, 5.95), (20, 3): (95_642, 16.43), (20, 6): (186_746, 32.16), (20, 9): (277_850, 47.89),
    (56, 1): (102_106, 15.4), (56, 3): (294_554, 44.7), (56, 6): (583_226, 88.8), (56, 9): (871_898, 132.8),
    (110, 1): (202_906, 29.5), (110, 3): (592_922, 87.2), (110, 6): (1_177_946, 173.7),
    (110, 9): (1_762_970, 260.2),
}  # fmt: skip


@pytest.mark.parametrize(("depth", "expand"), SHIFTRESNETS)
def test_shiftresnets_equal_published(depth: int, expand: int) -> None:
    params, macs = SHIFTRESNETS[depth, expand]
    total = families.network(f"shiftresnet{depth}_e{expand}").cost()
    assert total.params == params
    assert total.macs / 1e6 == pytest.approx(macs, abs=0.05 if depth > 20 else 0.005)


def test_macs_of_shiftresnet20_are_the_readmes_less_its_error_in_the_stem() -> None:
    assert families.network("shiftresnet20_e3").cost().macs == 16_581_248 - 147_456


@pytest.mark.parametrize("name", ["shiftresnet20_e1", "shiftresnet110_e9"])
def test_hundred_classes_cost_ninety_more_rows(name: str) -> None:
    ten, hundred = families.network(name).cost(), families.network(name, num_classes=100).cost()
    assert (hundred.params - ten.params, hundred.macs - ten.macs) == (5850, 5760)


@pytest.mark.parametrize("options", [{"layout": "interleaved"}, {"order": "paper"}, {"dilation": 2}])
@pytest.mark.parametrize("name", ["shiftnet_b", "shiftresnet20_e3"])
def test_options_change_the_network_and_not_its_counts(name: str, options: dict[str, object]) -> None:
    default, other = families.network(name), families.network(name, **options)  # type: ignore[arg-type]
    assert other.tree != default.tree
    assert (other.cost().params, other.cost().macs) == (default.cost().params, default.cost().macs)


@pytest.mark.parametrize(("factor", "published"), [(1 / 3, 1), (1, 3), (2, 6), (3, 9)])
def test_a_factor_of_the_expansion_leads_from_one_published_shiftresnet_to_the_others(
    factor: float, published: int
) -> None:
    scaled = families.network("shiftresnet20_e3", expand=factor)
    assert scaled.tree == families.network(f"shiftresnet20_e{published}").tree


def test_a_small_expansion_leaves_a_channel_for_every_direction() -> None:
    least = families.network("shiftnet_b", expand=1e-6, resolution=64)
    widths = [sum(run[0] for run in node.runs) for _, node in leaves(least.tree) if isinstance(node, Shift)]
    assert set(widths) == {25, 9}  # of 5x5 and 3x3 directions


@pytest.mark.parametrize("factor", [0, -1, float("nan"), 101, "2"])
def test_an_expansion_that_is_no_factor_is_refused(factor: object) -> None:
    with pytest.raises(SmidgenError, match=r"expand=.*: a factor above 0, up to 100, is needed"):
        families.network("shiftnet_a", expand=factor)


def test_shiftnet_b_halves_every_width_of_a() -> None:
    def widths(name: str) -> list[int]:
        tree = families.network(name, num_classes=10).tree
        return [leaf.c_out for _, leaf in leaves(tree) if isinstance(leaf, Conv)]

    assert widths("shiftnet_a") == [2 * width for width in widths("shiftnet_b")]


def test_shift_costs_nothing_beside_its_convolutions() -> None:
    x = Shape(16, 8, 8)
    assert cost(csc(16, 16, 3, expand=2), x).params == cost(csc(16, 16, 1, expand=2), x).params
