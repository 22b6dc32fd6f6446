"""The tree cut into blocks: nothing is lost, and each block has the name that its paper gives it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from smidgen import families
from smidgen.draw.blocks import rows
from smidgen.draw.cut import blocks
from smidgen.draw.svg import clip, escape, text_width
from smidgen.draw.terms import compact
from smidgen.families.efficientnet import mbconv, squeeze_excite
from smidgen.families.resnet import basic_block, depthwise_block
from smidgen.families.shiftnet import csc, sc2
from smidgen.families.squeezenet import fire
from smidgen.graph import Activation, BatchNorm, Chain, Conv, Node, Shift, Sum
from smidgen.spec import Shape


@pytest.mark.parametrize("name", families.names())
def test_units_have_all_params_and_macs_and_chain_their_shapes(name: str) -> None:
    network = families.network(name)
    found, cost = blocks(network.tree, network.input), network.cost()
    assert sum(block.params for block in found) == cost.params
    assert sum(block.macs for block in found) == cost.macs
    assert found[0].x == network.input
    assert all(before.out == after.x for before, after in pairwise(found))
    assert found[-1].out.channels == network.num_classes


@pytest.mark.parametrize("name", families.names())
def test_rows_hold_every_unit_once(name: str) -> None:
    network = families.network(name)
    found = blocks(network.tree, network.input)
    for whole_stages in (True, False):
        assert [block for row in rows(found, whole_stages) for block in row.blocks] == list(found)


@pytest.mark.parametrize(
    ("node", "title", "skip"),
    [
        (mbconv(32, 16, 3, 1, 1), "MBConv1 3x3, 16", ""),
        (mbconv(32, 32, 5, 1, 6), "MBConv6 5x5, 32", "skip"),
        (mbconv(32, 64, 5, 2, 4, squeeze=0), "MBConv4 5x5 /2, 64", ""),
        (mbconv(32, 64, 3, 2, 4, fused=True), "Fused-MBConv4 3x3 /2, 64", ""),
        (mbconv(32, 32, 3, 1, 1, fused=True), "Fused-MBConv1 3x3, 32", "skip"),
        (fire(32, 4, 8, 16), "Fire 4→8+16", ""),
        (Sum((("", Chain()), ("", fire(32, 4, 16, 16)))), "Fire 4→16+16", "skip"),
        (Sum((("bypass", Conv(32, 24)), ("", fire(32, 4, 8, 16)))), "Fire 4→8+16", "1x1 shortcut"),
        (csc(32, 32, 5), "CSC 5x5, 32", "skip"),
        (csc(32, 32, order="paper", dilation=2), "CSC 3x3, dilated 2, 32", "skip"),
        (csc(32, 64, 3, 2, pool=True), "CSC 3x3 /2, 64", "concat 3x3 average pool"),
        (csc(32, 64, 3, 1, pool=True), "CSC 3x3, 64", "concat input"),
        (sc2(32, 32), "SC² 3x3, 32", "skip"),
        (basic_block(32, 32), "Basic block 3x3, 32", "skip"),
        (basic_block(32, 64, 2), "Basic block 3x3 /2, 64", "1x1 shortcut"),
        (depthwise_block(32, 32, 1, 3), "Depthwise block 3x3, 32", "skip"),
        (squeeze_excite(32, 8), "Squeeze-excite, 32", ""),
        (Conv(32, 32, 3, 2, groups=32), "3x3 depthwise /2, 32", ""),
        (Conv(32, 64, 3, groups=4, dilation=2), "3x3 conv in 4 groups, dilated 2, 64", ""),
        (Shift(((16, 0, 1), (16, 0, -1))), "Shift 1x3", ""),
    ],
    ids=str,
)
def test_a_block_has_its_name(node: Node, title: str, skip: str) -> None:
    (block,) = blocks(node, Shape(32, 14, 14))
    assert (block.title(), block.skip) == (title, skip)


def test_what_ends_in_an_activation_is_no_linear_bottleneck() -> None:
    tree = Chain((("b", mbconv(32, 64, 3, 2, 6, squeeze=0)), ("a", Activation("relu"))))
    names = [block.name for block in blocks(tree, Shape(32, 14, 14))]
    assert "MBConv6 3x3" in names  # a ReLU after the block belongs to what follows
    inner = Chain((*_pointwise(32, 192), *_depthwise(192), *_pointwise(192, 64)))
    assert [block.name for block in blocks(inner, Shape(32, 14, 14))] == [
        "1x1 conv",
        "3x3 depthwise",
        "1x1 conv",
    ]


def test_an_uneven_expansion_is_not_rounded_to_a_whole_one() -> None:
    linear = (("e", Conv(100, 32)), ("f", BatchNorm(32)))
    pruned = Chain((*_pointwise(32, 100), *_depthwise(100), *linear))
    (block,) = blocks(pruned, Shape(32, 14, 14))
    assert block.name == "MBConv3.12 3x3"  # 100 / 32 = 3.125


def _pointwise(c_in: int, c_out: int) -> tuple[tuple[str, Node], ...]:
    return (
        (f"p{c_out}", Conv(c_in, c_out)),
        (f"n{c_out}", BatchNorm(c_out)),
        (f"a{c_out}", Activation("silu")),
    )


def _depthwise(width: int) -> tuple[tuple[str, Node], ...]:
    conv = Conv(width, width, 3, padding=((1, 1), (1, 1)), groups=width)
    return ("d", conv), ("dn", BatchNorm(width)), ("da", Activation("silu"))


@pytest.mark.parametrize(("name", "count"), [("resnet20", 9), ("resnet110", 54), ("efficientnet_b0", 16)])
def test_stages_fold_without_losing_blocks(name: str, count: int) -> None:
    network = families.network(name)
    found = rows(blocks(network.tree, network.input))
    assert sum(len(row.blocks) for row in found if row.first.kind == "block") == count


def test_only_equal_units_fold_where_stages_are_kept_apart() -> None:
    network = families.network("resnet20")
    found = rows(blocks(network.tree, network.input), whole_stages=False)
    assert [len(row.blocks) for row in found if row.first.kind == "block"] == [3, 1, 2, 1, 2]


def test_details_say_what_is_special_about_the_first() -> None:
    network = families.network("resnet20")
    details = [row.details() for row in rows(blocks(network.tree, network.input))]
    assert "first /2, 1x1 shortcut; then skip" in details


def test_dropout_is_told_with_the_layer_after_it() -> None:
    def last(dropout: float) -> tuple[str, tuple[str, ...]]:
        network = families.network("efficientnet_b0", dropout=dropout)
        block = blocks(network.tree, network.input)[-1]
        return block.title(), block.details

    assert last(0.25) == ("Linear, 1000", ("dropout 0.25",))
    assert last(0.0) == ("Linear, 1000", ())


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (864, "864"), (999, "999"), (1000, "1.00 k"), (9408, "9.41 k"), (99_960, "100 k"),
     (999_499, "999 k"), (999_500, "1.00 M"), (5_288_548, "5.29 M"), (475_703_653_280, "476 G")],
)  # fmt: skip
def test_compact_keeps_three_digits(count: int, text: str) -> None:
    assert compact(count) == text


def test_clipped_text_fits_and_short_text_stays() -> None:
    assert clip("abc", 100, 12) == "abc"
    clipped = clip("W" * 50, 100, 12, bold=True)
    assert clipped.endswith("…")
    assert text_width(clipped, 12, bold=True) <= 100


def test_escaping_leaves_nothing_that_xml_forbids() -> None:
    assert escape('<a & "b">') == "&lt;a &amp; &quot;b&quot;&gt;"
    assert escape("a\x00\x1b\ud800\uffff") == "a\ufffd\ufffd\ufffd\ufffd"
