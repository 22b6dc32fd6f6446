"""The list of layers: totals, names, receptive fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_trees import classifiers, examples, maps, trees
from smidgen import families
from smidgen.families.family import numbered
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Shift,
    Sum,
    cost,
    layers,
    leaves,
    output_shape,
    pad,
    parameters,
    tensors,
    trunk_end,
)
from smidgen.spec import Shape

EVERY_KIND = [
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s", "squeezenet1_0",
    "squeezenet1_1_complex_bypass", "shiftnet_a", "shiftresnet20_e3", "resnet20", "resnet20_depthwise_e3",
]  # fmt: skip


# ── totals and names ─────────────────────────────────────────────────────────────────────────────────


@examples(100)
@given(st.data())
def test_layers_of_random_trees_sum_to_the_cost(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, _ = data.draw(st.one_of(trees(x), classifiers(x)))
    total, rows = cost(tree, x), layers(tree, x)
    for unit in ("params", "buffers", "macs"):
        assert sum(getattr(row, unit) for row in rows) == getattr(total, unit)
    # Sums and gates are elementwise work outside the leaves.
    assert sum(row.elementwise for row in rows) <= total.elementwise


@pytest.mark.parametrize("name", EVERY_KIND)
def test_layers_of_networks_sum_to_the_cost_and_end_in_its_shape(name: str) -> None:
    net = families.network(name)
    rows = layers(net.tree, net.input)
    assert sum(row.params for row in rows) == net.cost().params
    assert sum(row.macs for row in rows) == net.cost().macs
    assert rows[0].in_shape == net.input
    assert rows[-1].out == output_shape(net.tree, net.input)
    assert rows[0].activation_bytes == 4 * rows[0].out.numel


@examples(100)
@given(st.data())
def test_tensors_leaves_and_layers_agree_on_names_and_counts(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, _ = data.draw(st.one_of(trees(x), classifiers(x)))
    assert [row.path for row in layers(tree, x)] == [path for path, _ in leaves(tree)]
    found = list(tensors(tree))
    names = [tensor.name for tensor in found]
    assert len(set(names)) == len(names)
    trained = sum(_count(tensor.shape) for tensor in found if tensor.trained)
    others = sum(_count(tensor.shape) for tensor in found if not tensor.trained)
    assert (trained, others) == (cost(tree, x).params, cost(tree, x).buffers)
    assert parameters(tree) == [(tensor.name, tensor.shape) for tensor in found if tensor.trained]


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


# The first rows of the table that the project's first note prints for EfficientNet-B0.
B0_ROWS = [
    ("features.0.0.weight", 864),
    ("features.0.1.weight", 32),
    ("features.0.1.bias", 32),
    ("features.1.0.block.0.0.weight", 288),
    ("features.1.0.block.0.1.weight", 32),
    ("features.1.0.block.0.1.bias", 32),
    ("features.1.0.block.1.fc1.weight", 256),
    ("features.1.0.block.1.fc1.bias", 8),
    ("features.1.0.block.1.fc2.weight", 256),
    ("features.1.0.block.1.fc2.bias", 32),
    ("features.1.0.block.2.0.weight", 512),
    ("features.1.0.block.2.1.weight", 16),
    ("features.1.0.block.2.1.bias", 16),
    ("features.2.0.block.0.0.weight", 1536),
    ("features.2.0.block.0.1.weight", 96),
    ("features.2.0.block.0.1.bias", 96),
    ("features.2.0.block.1.0.weight", 864),
    ("features.2.0.block.1.1.weight", 96),
    ("features.2.0.block.1.1.bias", 96),
    ("features.2.0.block.2.fc1.weight", 384),
    ("features.2.0.block.2.fc1.bias", 4),
    ("features.2.0.block.2.fc2.weight", 384),
]


def test_b0_table_begins_and_ends_as_torchvisions() -> None:
    rows = [(name, _count(shape)) for name, shape in parameters(families.network("efficientnet_b0").tree)]
    assert rows[: len(B0_ROWS)] == B0_ROWS
    assert rows[-2:] == [("classifier.1.weight", 1_280_000), ("classifier.1.bias", 1000)]


@pytest.mark.parametrize(
    ("name", "count"), [("efficientnet_b0", 360), ("squeezenet1_0", 52), ("squeezenet1_1", 52)]
)
def test_state_dict_has_as_many_keys_as_torchvisions(name: str, count: int) -> None:
    assert len(list(tensors(families.network(name).tree))) == count


def test_norm_tensors_come_in_torchs_order() -> None:
    found = [tensor.name for tensor in tensors(Chain((("n", BatchNorm(2)),)))]
    assert found == ["n.weight", "n.bias", "n.running_mean", "n.running_var", "n.num_batches_tracked"]


def test_unnamed_children_live_in_their_parents_namespace() -> None:
    inner = Chain((("", Sum((("a", Conv(1, 1)), ("b", Conv(1, 1))))), ("c", Conv(1, 1))))
    assert [path for path, _ in leaves(Chain((("f", inner),)))] == ["f.a", "f.b", "f.c"]


def test_grouped_convolution_has_the_weight_shape_of_torch() -> None:
    assert parameters(Chain((("0", Conv(6, 9, 5, groups=3)),))) == [("0.weight", (9, 2, 5, 5))]


# ── receptive fields ─────────────────────────────────────────────────────────────────────────────────


def chain(*steps: Node) -> Chain:
    return Chain(tuple((str(index), step) for index, step in enumerate(steps)))


def field(tree: Node, x: Shape = Shape(1, 512, 512)) -> tuple[int, int]:
    return layers(tree, x)[-1].receptive_field


def conv(kernel: int, stride: int = 1, padding: int | None = None) -> Conv:
    return Conv(1, 1, kernel, stride, pad(kernel // 2 if padding is None else padding))


def pool(kernel: int, stride: int) -> Pool:
    return Pool("max", kernel, stride)


# Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", Distill:
# AlexNet v2 has 195 pixels, VGG-16 212, MobileNet v1 315.
ALEXNET_V2 = chain(
    conv(11, 4, 0), pool(3, 2), conv(5), pool(3, 2), conv(3), conv(3), conv(3), pool(3, 2)
)  # fmt: skip
VGG_16 = chain(*(numbered([*[conv(3)] * convs, pool(2, 2)]) for convs in (2, 2, 3, 3, 3)))
MOBILENET_V1 = chain(*(conv(3, stride) for stride in (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)))


@pytest.mark.parametrize(("tree", "pixels"), [(ALEXNET_V2, 195), (VGG_16, 212), (MOBILENET_V1, 315)])
def test_receptive_fields_equal_published(tree: Chain, pixels: int) -> None:
    assert field(tree) == (pixels, pixels)


def test_receptive_field_of_squeezenets_last_map_by_hand() -> None:
    # conv 7/2: 7; pool 3/2: 7+2*2; three 3x3 at stride 4; pool: +2*4; four 3x3 at 8; pool +2*8; one at 16.
    expected = 7 + 2 * 2 + 3 * 2 * 4 + 2 * 4 + 4 * 2 * 8 + 2 * 8 + 2 * 16
    net = families.network("squeezenet1_0")
    row = next(row for row in layers(net.tree, net.input) if row.path == "classifier.1")
    assert row.receptive_field == (expected, expected)
    assert row.stride == 16


def test_shift_sees_as_far_as_its_outermost_directions() -> None:
    assert field(chain(Shift(((1, -1, 0), (1, 1, 2), (1, 0, 0)))), Shape(3, 9, 9)) == (3, 3)


def test_shift_in_one_direction_beside_an_identity_sees_both() -> None:
    tree = chain(Sum((("", Chain()), ("shift", Shift(((1, 3, 0),))))), conv(1))
    assert field(tree, Shape(1, 9, 9)) == (4, 1)


def test_branches_that_look_apart_see_what_lies_between() -> None:
    tree = chain(Concat((("a", Shift(((1, 0, -2),))), ("b", Shift(((1, 0, 3),))))), Conv(2, 1))
    assert field(tree, Shape(1, 9, 9)) == (1, 6)


def test_dilation_widens_the_view() -> None:
    assert field(chain(Conv(1, 1, 3, dilation=4))) == (9, 9)


def test_same_padding_sees_as_much_as_any_other() -> None:
    assert field(chain(Conv(1, 1, 3, 2, "same"), Conv(1, 1, 5, padding="same"))) == (11, 11)


def test_gates_do_not_widen_the_trunk() -> None:
    tree = chain(conv(3), Gate((("pool", GlobalPool()), ("fc", Conv(1, 1)))), Activation("relu"))
    assert field(tree) == (3, 3)


@pytest.mark.parametrize("end", [(GlobalPool(),), (Flatten(), Linear(64, 2))])
def test_what_reduces_the_map_sees_all_of_it(end: tuple[Node, ...]) -> None:
    assert field(chain(Conv(1, 1, 2, 2), *end), Shape(1, 16, 16)) == (16, 16)


def seen(node: Node, rows: set[int]) -> set[int]:
    """Input rows that these output rows look at, on an endless map; gates are looked past."""
    match node:
        case Chain(children=children):
            for _, child in reversed(children):
                rows = seen(child, rows)
            return rows
        case Sum(children=children) | Concat(children=children):
            return set().union(*(seen(child, rows) for _, child in children))
        case Conv(kernel=kernel, stride=stride, dilation=dilation, padding=((top, _), _)):
            return {row * stride - top + tap * dilation for row in rows for tap in range(kernel)}
        case Conv(kernel=kernel, dilation=dilation, padding="same"):  # at stride 1, by odd kernels
            return {row + (tap - kernel // 2) * dilation for row in rows for tap in range(kernel)}
        case Pool(kernel=kernel, stride=stride, padding=padding):
            return {row * stride - padding + tap for row in rows for tap in range(kernel)}
        case Shift(runs=runs):
            return {row + dy for row in rows for _, dy, _ in runs}
        case _:
            return rows


@examples(150)
@given(st.data())
def test_receptive_field_equals_the_rows_that_are_really_read(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, _ = data.draw(trees(x))
    rows = seen(tree, {0})
    probe = Chain((("", tree), ("probe", Activation("relu"))))
    assert layers(probe, x)[-1].receptive_field[0] == max(rows) - min(rows) + 1


# ── the last map ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("efficientnet_b0", Shape(1280, 7, 7)),
        ("squeezenet1_0", Shape(1000, 13, 13)),  # forresti/SqueezeNet: conv10 on 13 x 13
        ("shiftnet_a", Shape(512, 7, 7)),
        ("resnet20", Shape(64, 8, 8)),
    ],
)
def test_trunk_ends_before_the_global_pool(name: str, shape: Shape) -> None:
    net = families.network(name)
    assert trunk_end(net.tree, net.input) == shape


def test_trunk_does_not_end_in_a_gate() -> None:
    tree = chain(Gate((("0", GlobalPool()),)), conv(3, 2), GlobalPool())
    assert trunk_end(tree, Shape(1, 8, 8)) == Shape(1, 4, 4)


def test_trunk_without_a_pool_ends_at_the_output() -> None:
    assert trunk_end(chain(conv(3, 2)), Shape(1, 8, 8)) == Shape(1, 4, 4)
