"""The CIFAR ResNets that the shift networks replace."""

from __future__ import annotations

import pytest

from smidgen import families
from smidgen.families.resnet import basic_block, depthwise_block
from smidgen.graph import Activation, Conv, layers, leaves
from smidgen.spec import Shape


# With 1x1 shortcuts, as alvinwan/shiftresnet-cifar; README prints 272,474 for ResNet-20.
@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("resnet20", 272_474, 40.81), ("resnet56", 855_770, 125.7), ("resnet110", 1_730_714, 253.1)],
)
def test_counts_equal_published(name: str, params: int, macs: float) -> None:
    total = families.network(name).cost()
    assert total.params == params
    assert total.macs / 1e6 == pytest.approx(macs, abs=0.005 if name == "resnet20" else 0.05)


def test_macs_of_resnet20_are_the_readmes_less_its_error_in_the_stem() -> None:
    assert families.network("resnet20").cost().macs == 40_960_640 - 147_456


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_depth_counts_convolutions_and_the_classifier(depth: int) -> None:
    tree = families.network(f"resnet{depth}").tree
    convs = [path for path, leaf in leaves(tree) if isinstance(leaf, Conv) and "shortcut" not in path]
    assert len(convs) + 1 == depth


def test_basic_block_ends_in_an_activation_after_its_sum() -> None:
    rows = layers(basic_block(16, 32, 2), Shape(16, 8, 8))
    assert isinstance(rows[-1].node, Activation)
    assert rows[-1].out == Shape(32, 4, 4)
    assert [row.path for row in rows if isinstance(row.node, Conv)] == [
        "shortcut.0",
        "block.0.0",
        "block.1.0",
    ]


def test_depthwise_block_strides_in_its_last_convolution() -> None:
    convs = [leaf for path, leaf in leaves(depthwise_block(16, 32, 2, 3)) if "block" in path]
    found = [(leaf.kernel, leaf.stride, leaf.groups) for leaf in convs if isinstance(leaf, Conv)]
    assert found == [(1, 1, 1), (3, 1, 96), (1, 2, 1)]


@pytest.mark.parametrize("expand", [1, 3, 6, 9])
def test_depthwise_differs_from_shift_by_its_kernels_and_norms(expand: int) -> None:
    # Per block: 9 weights and a BatchNorm of 2 for each of the expanded channels.
    extra = sum(3 * 11 * expand * channels for channels in (16, 32, 64))
    depthwise = families.network(f"resnet20_depthwise_e{expand}").cost().params
    assert depthwise - families.network(f"shiftresnet20_e{expand}").cost().params == extra


def test_layers_are_drawn_as_torch_draws_them() -> None:
    tree = families.network("resnet20").tree
    assert {leaf.init for _, leaf in leaves(tree) if isinstance(leaf, Conv)} == {"torch"}
