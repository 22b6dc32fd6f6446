"""SqueezeNet against its releases and the paper's design space."""

from __future__ import annotations

import math

import pytest

from smidgen import families
from smidgen.families.squeezenet import FIRES, FireRow, design_space, fire
from smidgen.graph import Conv, Pool, Sum, cost, layers, leaves, parameters, tensors
from smidgen.spec import Shape, SmidgenError


@pytest.mark.parametrize(
    ("name", "resolution", "params", "macs"),
    [
        ("squeezenet1_0", 224, 1_248_424, 818_924_576),
        ("squeezenet1_0", 227, 1_248_424, 832_667_936),
        ("squeezenet1_1", 224, 1_235_496, 349_151_936),
        ("squeezenet1_1", 227, 1_235_496, 387_747_520),
    ],
)
def test_counts_equal_published(name: str, resolution: int, params: int, macs: int) -> None:
    total = families.network(name, resolution=resolution).cost()
    assert (total.params, total.macs) == (params, macs)


def test_params_of_every_layer_of_1_0_equal_published() -> None:
    found: dict[str, int] = {}
    for name, shape in parameters(families.network("squeezenet1_0").tree):
        layer = ".".join(name.split(".")[:2])
        found[layer] = found.get(layer, 0) + math.prod(shape)
    fires = [11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184]
    assert list(found.values()) == [14_208, *fires, 513_000]


def test_positions_of_the_fires_equal_torchvisions() -> None:
    for name, places in (
        ("squeezenet1_0", [3, 4, 5, 7, 8, 9, 10, 12]),
        ("squeezenet1_1", [3, 4, 6, 7, 9, 10, 11, 12]),
    ):
        paths = [path for path, _ in leaves(families.network(name).tree) if path.endswith(".squeeze")]
        assert paths == [f"features.{place}.squeeze" for place in places]


def test_fire_has_the_names_that_torchvision_gives() -> None:
    names = [name for name, _ in parameters(fire(96, 16, 64, 64))]
    layers_of_fire = ("squeeze", "expand1x1", "expand3x3")
    assert names == [f"{layer}.{kind}" for layer in layers_of_fire for kind in ("weight", "bias")]


def test_fire_keeps_the_map_and_concatenates() -> None:
    rows = layers(fire(96, 16, 64, 48), Shape(96, 7, 9))
    assert [str(row.out) for row in rows if isinstance(row.node, Conv)] == ["16x7x9", "64x7x9", "48x7x9"]
    # 96*16+16 + 16*64+64 + 16*48*9+48
    assert cost(fire(96, 16, 64, 48), Shape(96, 7, 9)).params == 1552 + 1088 + 6960


def test_pools_round_up_and_nothing_is_padded() -> None:
    found = [leaf for _, leaf in leaves(families.network("squeezenet1_0").tree)]
    assert {
        (leaf.kernel, leaf.stride, leaf.padding, leaf.ceil_mode) for leaf in found if isinstance(leaf, Pool)
    } == {(3, 2, 0, True)}
    assert isinstance(found[0], Conv)
    assert (found[0].kernel, found[0].padding) == (7, ((0, 0), (0, 0)))


# ── bypass ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_simple_bypass_adds_no_parameter_and_renames_none(version: str) -> None:
    plain, bypass = (families.network(f"squeezenet{version}{suffix}").tree for suffix in ("", "_bypass"))
    assert list(tensors(plain)) == list(tensors(bypass))


@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_simple_bypass_spans_fire_3_5_7_and_9(version: str) -> None:
    tree = families.network(f"squeezenet{version}_bypass").tree
    features = dict(tree.children)["features"]  # type: ignore[union-attr]
    fires = [child for _, child in features.children if "squeeze" in str(child)]
    assert [isinstance(child, Sum) for child in fires] == [False, True] * 4


def test_complex_bypass_adds_a_convolution_around_fire_2_4_6_and_8() -> None:
    net = families.network("squeezenet1_0_complex_bypass")
    found = [leaf for path, leaf in leaves(net.tree) if path.endswith(".bypass")]
    widths = [(leaf.c_in, leaf.c_out) for leaf in found if isinstance(leaf, Conv)]
    assert widths == [(96, 128), (128, 256), (256, 384), (384, 512)]
    # 96*128+128 + 128*256+256 + 256*384+384 + 384*512+512 over the plain network
    assert net.cost().params == 1_248_424 + 12_416 + 33_024 + 98_688 + 197_120 == 1_589_672


# ── the design space ─────────────────────────────────────────────────────────────────────────────────


def test_default_design_is_squeezenet_1_0() -> None:
    assert design_space() == FIRES
    assert families.network("squeezenet_design").tree == families.network("squeezenet1_0").tree


def test_design_space_follows_the_papers_formulas() -> None:
    # e_i = base + increment * floor(i / frequency); 3x3 share of e; squeeze = ratio * e
    rows = design_space(base=64, increment=32, frequency=3, squeeze_ratio=0.25, share_3x3=0.25)
    assert [row.expand1x1 + row.expand3x3 for row in rows] == [64, 64, 64, 96, 96, 96, 128, 128]
    assert rows[0] == FireRow(16, 48, 16)
    assert rows[7] == FireRow(32, 96, 32)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.75, 0.99])
def test_share_of_3x3_is_kept_to_one_filter_and_none_is_empty(share: float) -> None:
    for row in design_space(share_3x3=share):
        expand = row.expand1x1 + row.expand3x3
        assert abs(row.expand3x3 - share * expand) <= 0.5
        assert min(row) >= 1


def test_design_options_reach_the_network() -> None:
    net = families.network("squeezenet_design", base=64, increment=64, squeeze_ratio=0.5)
    concats = [
        leaf.c_out for path, leaf in leaves(net.tree) if path.endswith("squeeze") if isinstance(leaf, Conv)
    ]
    assert concats == [32, 32, 64, 64, 96, 96, 128, 128]


@pytest.mark.parametrize(
    "options",
    [
        {"base": 1}, {"increment": -1}, {"frequency": 0}, {"squeeze_ratio": 0.0}, {"squeeze_ratio": 1.5},
        {"share_3x3": 0.0}, {"share_3x3": 1.0}, {"share_3x3": float("nan")}, {"squeeze_ratio": float("nan")},
    ],
)  # fmt: skip
def test_designs_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SmidgenError, match=r"needed|between"):
        families.network("squeezenet_design", **options)  # type: ignore[arg-type]


def test_pools_stand_where_the_design_says() -> None:
    net = families.network("squeezenet_design", pools=(0, 1, 2))
    nodes = [layer.node for layer in layers(net.tree, net.input)]
    kinds = [type(node).__name__ for node in nodes if isinstance(node, Conv | Pool)]
    fire_ = ["Conv"] * 3
    assert kinds == ["Conv", "Pool", *fire_, "Pool", *fire_, "Pool", *fire_ * 6, "Conv"]
    assert net.cost().params == families.network("squeezenet1_0").cost().params


@pytest.mark.parametrize("pools", [(0, 9), (-1,)])
def test_pools_outside_the_network_are_refused(pools: tuple[int, ...]) -> None:
    with pytest.raises(SmidgenError, match="each follows a Fire module"):
        families.network("squeezenet_design", pools=pools)


def test_scaling_moves_the_parameters_of_the_design_space() -> None:
    for times in (1, 2, 3):
        wide = families.families()["squeezenet"].scaled(times, 1, 224)
        assert wide.fires == design_space(base=128 * times, increment=128 * times)
        deep = families.families()["squeezenet"].scaled(1, times, 224)
        assert deep.fires == design_space(frequency=2 * times, count=8 * times)


def test_design_options_belong_to_the_design_only() -> None:
    with pytest.raises(SmidgenError, match="squeezenet_design"):
        families.network("squeezenet1_0", base=64)


# ── initialisation, small pictures ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("init", "rule"), [(None, "he_uniform"), ("torchvision", "he_uniform"), ("paper", "xavier_uniform")]
)
def test_convolutions_are_drawn_as_asked_and_the_last_normally(init: str | None, rule: str) -> None:
    tree = families.network("squeezenet1_0", init=init).tree  # type: ignore[arg-type]
    *convs, last = (leaf for _, leaf in leaves(tree) if isinstance(leaf, Conv))
    assert {conv.init for conv in convs} == {rule}
    assert last.init == "normal_01"


def test_kernels_are_padded_where_strides_are_dropped() -> None:
    tree = families.network("squeezenet1_1", resolution=32).tree
    found = [leaf for _, leaf in leaves(tree)]
    assert all(leaf.padding == 1 for leaf in found if isinstance(leaf, Pool))
    assert all(
        leaf.padding != ((0, 0), (0, 0)) for leaf in found if isinstance(leaf, Conv) and leaf.kernel > 1
    )
