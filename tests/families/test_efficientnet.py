"""EfficientNet against its publications: parameters, MACs, stage tables, rules."""

from __future__ import annotations

import itertools

import pytest

from smidgen import families
from smidgen.families.efficientnet import mbconv, round_repeats, squeeze_excite
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Combinator,
    Conv,
    Dropout,
    Gate,
    Linear,
    Node,
    Sum,
    layers,
    leaves,
    parameters,
)
from smidgen.spec import Shape

# google/automl efficientnet_builder_test.py (B0 to B7), tensorflow/tpu's Lite test, torchvision's counts;
# MACs of convolutions and linear layers, which equal torchvision's `_ops`. None: published rounded, below.
GOLDEN = {
    "efficientnet_b0": (5_288_548, 385_814_752),
    "efficientnet_b1": (7_794_184, 686_802_832),
    "efficientnet_b2": (9_109_994, 993_561_872),
    "efficientnet_b3": (12_233_232, 1_827_141_392),
    "efficientnet_b4": (19_341_616, 4_393_771_024),
    "efficientnet_b5": (30_389_784, 10_266_384_752),
    "efficientnet_b6": (43_040_704, 19_067_593_536),
    "efficientnet_b7": (66_347_960, 37_745_884_192),
    "efficientnet_b8": (87_413_142, None),
    "efficientnet_l2": (480_309_308, None),
    "efficientnet_lite0": (4_652_008, None),
    "efficientnet_lite1": (5_416_680, None),
    "efficientnet_lite2": (6_092_072, None),
    "efficientnet_lite3": (8_197_096, None),
    "efficientnet_lite4": (13_006_568, None),
    "efficientnet_v2_b0": (7_139_704, None),
    "efficientnet_v2_b1": (8_141_052, None),
    "efficientnet_v2_b2": (10_096_086, None),
    "efficientnet_v2_b3": (14_358_406, None),
    "efficientnet_v2_s": (21_458_488, None),
    "efficientnet_v2_m": (54_139_356, None),
    "efficientnet_v2_l": (118_515_272, None),
}

# In units of 10^6, at the precision that they are known to.
ROUNDED_MACS = {
    "efficientnet_b8": (62_600, 10),
    "efficientnet_l2": (475_700, 100),
    "efficientnet_lite0": (385.2, 0.1),
    "efficientnet_lite1": (600.2, 0.1),
    "efficientnet_lite2": (859.7, 0.1),
    "efficientnet_lite3": (1383, 1),
    "efficientnet_lite4": (2553, 1),
    "efficientnet_v2_s": (8366, 1),
    "efficientnet_v2_m": (24_582, 1),
    "efficientnet_v2_l": (56_080, 1),
}


def test_every_efficientnet_has_a_golden_count() -> None:
    assert set(families.names("efficientnet*")) == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_params_equal_published(name: str) -> None:
    assert families.network(name).cost().params == GOLDEN[name][0]


@pytest.mark.parametrize("name", [name for name, (_, macs) in GOLDEN.items() if macs is not None])
def test_macs_equal_published(name: str) -> None:
    assert families.network(name).cost().macs == GOLDEN[name][1]


@pytest.mark.parametrize("name", ROUNDED_MACS)
def test_macs_equal_what_was_published_rounded(name: str) -> None:
    millions, digit = ROUNDED_MACS[name]
    assert abs(families.network(name).cost().macs / 1e6 - millions) <= digit / 2 * 1.001


def test_b2_at_288_has_the_macs_that_torchvision_evaluates_it_with() -> None:
    assert round(families.network("efficientnet_b2", resolution=288).cost().macs / 1e9, 3) == 1.088


# Stem; channels x repeats of the stages; head. tensorflow/tpu's rounding of the published coefficients.
TABLE = {
    "b0": "32; 16x1 24x2 40x2 80x3 112x3 192x4 320x1; 1280",
    "b1": "32; 16x2 24x3 40x3 80x4 112x4 192x5 320x2; 1280",
    "b2": "32; 16x2 24x3 48x3 88x4 120x4 208x5 352x2; 1408",
    "b3": "40; 24x2 32x3 48x3 96x5 136x5 232x6 384x2; 1536",
    "b4": "48; 24x2 32x4 56x4 112x6 160x6 272x8 448x2; 1792",
    "b5": "48; 24x3 40x5 64x5 128x7 176x7 304x9 512x3; 2048",
    "b6": "56; 32x3 40x6 72x6 144x8 200x8 344x11 576x3; 2304",
    "b7": "64; 32x4 48x7 80x7 160x10 224x10 384x13 640x4; 2560",
    "b8": "72; 32x4 56x8 88x8 176x11 248x11 424x15 704x4; 2816",
    "l2": "136; 72x6 104x11 176x11 344x16 480x16 824x22 1376x6; 5504",
}
RESOLUTIONS = {
    "b0": 224, "b1": 240, "b2": 260, "b3": 300, "b4": 380, "b5": 456, "b6": 528, "b7": 600, "b8": 672,
    "l2": 800, "lite0": 224, "lite1": 240, "lite2": 260, "lite3": 280, "lite4": 300,
    "v2_s": 384, "v2_m": 480, "v2_l": 480,
}  # fmt: skip
DROPOUTS = {
    "b0": 0.2, "b1": 0.2, "b2": 0.3, "b3": 0.3, "b4": 0.4, "b5": 0.4, "b6": 0.5, "b7": 0.5, "b8": 0.5,
    "l2": 0.5, "v2_s": 0.2, "v2_m": 0.3, "v2_l": 0.4,
}  # fmt: skip


def features(name: str) -> list[tuple[str, Node]]:
    tree = families.network(name).tree
    assert isinstance(tree, Chain)
    inner = dict(tree.children)["features"]
    assert isinstance(inner, Chain)
    return list(inner.children)


def width(node: Node) -> int:
    return [leaf.c_out for _, leaf in leaves(node) if isinstance(leaf, Conv)][-1]


@pytest.mark.parametrize("size", TABLE)
def test_stage_table_equals_published(size: str) -> None:
    (_, stem), *stages, (_, head) = features(f"efficientnet_{size}")
    found = [f"{width(stage)}x{len(stage.children)}" for _, stage in stages if isinstance(stage, Combinator)]
    assert f"{width(stem)}; {' '.join(found)}; {width(head)}" == TABLE[size]


@pytest.mark.parametrize("size", RESOLUTIONS)
def test_resolution_equals_published(size: str) -> None:
    assert families.network(f"efficientnet_{size}").input.height == RESOLUTIONS[size]


@pytest.mark.parametrize("size", DROPOUTS)
def test_dropout_equals_published(size: str) -> None:
    tree = families.network(f"efficientnet_{size}").tree
    assert [leaf.p for _, leaf in leaves(tree) if isinstance(leaf, Dropout)] == [DROPOUTS[size]]


@pytest.mark.parametrize("index", range(5))
def test_lite_scales_neither_its_ends_nor_their_repeats(index: int) -> None:
    (_, stem), (_, first), *_, (_, last), (_, head) = features(f"efficientnet_lite{index}")
    assert isinstance(first, Chain)
    assert isinstance(last, Chain)
    assert (width(stem), width(head), len(first.children), len(last.children)) == (32, 1280, 1, 1)


def test_lite_has_relu6_and_no_gates() -> None:
    tree = families.network("efficientnet_lite2").tree
    assert {leaf.kind for _, leaf in leaves(tree) if isinstance(leaf, Activation)} == {"relu6"}
    assert not [node for node in walk(tree) if isinstance(node, Gate)]


def walk(node: Node) -> list[Node]:
    if not isinstance(node, Combinator):
        return [node]
    return [node, *itertools.chain.from_iterable(walk(child) for _, child in node.children)]


# Constants of torchvision's models, which its published weights need; tensorflow/tpu for Lite.
@pytest.mark.parametrize(
    ("size", "constants"),
    [
        *((f"b{index}", (1e-5, 0.1)) for index in range(5)),
        *((f"b{index}", (1e-3, 0.01)) for index in range(5, 8)),
        *((f"lite{index}", (1e-3, 0.01)) for index in range(5)),
        *((f"v2_{size}", (1e-3, 0.1)) for size in ("b0", "b3", "s", "m", "l")),
    ],
)
def test_norm_constants_equal_published(size: str, constants: tuple[float, float]) -> None:
    norms = [
        leaf for leaf in walk(families.network(f"efficientnet_{size}").tree) if isinstance(leaf, BatchNorm)
    ]
    assert {(norm.eps, norm.momentum) for norm in norms} == {constants}


@pytest.mark.parametrize("size", ["b0", "b4", "v2_s", "lite1"])
def test_drop_path_rises_linearly_over_all_blocks(size: str) -> None:
    stages = features(f"efficientnet_{size}")[1:-1]
    blocks = [block for _, stage in stages for _, block in stage.children if isinstance(stage, Combinator)]  # type: ignore[union-attr]
    for index, block in enumerate(blocks):
        if isinstance(block, Sum):
            assert block.drop_path == pytest.approx(0.2 * index / len(blocks))
    assert sum(isinstance(block, Sum) for block in blocks) > len(blocks) / 2 - 1


def test_first_block_of_b0_is_as_published() -> None:
    # Depthwise 3x3 on 32 channels, squeeze to a quarter of the input, project to 16; no residual.
    assert [(name, shape) for name, shape in parameters(mbconv(32, 16, 3, 1, 1)) if len(shape) == 4] == [
        ("block.0.0.weight", (32, 1, 3, 3)),
        ("block.1.fc1.weight", (8, 32, 1, 1)),
        ("block.1.fc2.weight", (32, 8, 1, 1)),
        ("block.2.0.weight", (16, 32, 1, 1)),
    ]


@pytest.mark.parametrize(("c_in", "squeezed"), [(16, 4), (24, 6), (40, 10), (3, 1), (27, 6)])
def test_squeeze_follows_the_blocks_input(c_in: int, squeezed: int) -> None:
    found = dict(parameters(mbconv(c_in, 8, expand=6)))
    assert found["block.2.fc1.weight"] == (squeezed, 6 * c_in, 1, 1)
    assert found["block.2.fc1.bias"] == (squeezed,)
    assert found["block.2.fc2.bias"] == (6 * c_in,)


def test_squeeze_excite_ends_in_a_sigmoid() -> None:
    kinds = [leaf.kind for _, leaf in leaves(squeeze_excite(8, 2)) if isinstance(leaf, Activation)]
    assert kinds == ["silu", "sigmoid"]


@pytest.mark.parametrize(
    ("stride", "c_out", "residual"), [(1, 16, True), (2, 16, False), (1, 24, False), (2, 24, False)]
)
def test_residual_needs_the_same_shape(stride: int, c_out: int, residual: bool) -> None:
    assert isinstance(mbconv(16, c_out, stride=stride), Sum) is residual


def test_projection_has_no_activation() -> None:
    rows = layers(mbconv(8, 8), Shape(8, 4, 4))
    assert isinstance(rows[-1].node, BatchNorm)


def test_fused_block_is_one_dense_convolution_and_a_projection() -> None:
    shapes = [shape for _, shape in parameters(mbconv(24, 48, 3, 2, 4, fused=True)) if len(shape) == 4]
    assert shapes == [(96, 24, 3, 3), (48, 96, 1, 1)]


def test_fused_block_without_expansion_is_one_convolution_with_activation() -> None:
    block = mbconv(24, 24, 3, 1, 1, fused=True)
    assert [type(leaf).__name__ for _, leaf in leaves(block)] == ["Conv", "BatchNorm", "Activation"]


@pytest.mark.parametrize(
    ("repeats", "depth", "rounded"), [(1, 1.1, 2), (4, 1.8, 8), (3, 1.4, 5), (5, 1.0, 5)]
)
def test_repeats_round_up(repeats: int, depth: float, rounded: int) -> None:
    assert round_repeats(repeats, depth) == rounded


# google/automl effnetv2_configs.py: fused stages first, then MBConv; repeats at depth 1.
@pytest.mark.parametrize(
    ("size", "repeats", "fused"),
    [("s", [2, 4, 4, 6, 9, 15], 3), ("m", [3, 5, 5, 7, 14, 18, 5], 3), ("l", [4, 7, 7, 10, 19, 25, 7], 3)],
)
def test_v2_stages_equal_published(size: str, repeats: list[int], fused: int) -> None:
    stages = [stage for _, stage in features(f"efficientnet_v2_{size}")[1:-1]]
    assert [len(stage.children) for stage in stages if isinstance(stage, Chain)] == repeats
    gates = [any(isinstance(node, Gate) for node in walk(stage)) for stage in stages]
    assert gates == [False] * fused + [True] * (len(stages) - fused)


def test_padding_is_symmetric_or_tensorflows() -> None:
    def paddings(name: str, **options: str) -> set[str]:
        tree = families.network(name, **options).tree  # type: ignore[arg-type]
        convs = [leaf for _, leaf in leaves(tree) if isinstance(leaf, Conv) and leaf.kernel > 1]
        return {"same" if conv.padding == "same" else "symmetric" for conv in convs}

    assert paddings("efficientnet_b0") == {"symmetric"}
    assert paddings("efficientnet_lite0") == {"same"}
    assert paddings("efficientnet_b0", padding="same") == {"same"}
    assert paddings("efficientnet_lite0", padding="symmetric") == {"symmetric"}


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0"])
def test_same_padding_costs_the_same(name: str) -> None:
    assert families.network(name, padding="same").cost() == families.network(name).cost()


def test_classifier_is_drawn_by_its_outputs_and_convolutions_by_their_fan_out() -> None:
    found = [leaf for _, leaf in leaves(families.network("efficientnet_b0").tree)]
    assert {leaf.init for leaf in found if isinstance(leaf, Conv)} == {"fan_out"}
    assert [leaf.init for leaf in found if isinstance(leaf, Linear)] == ["uniform_fan_out"]
    other = [leaf for _, leaf in leaves(families.network("efficientnet_b0", init="torchvision").tree)]
    assert {leaf.init for leaf in other if isinstance(leaf, Conv)} == {"fan_out_ungrouped"}
