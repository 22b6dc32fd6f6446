import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from smidgen import families
from smidgen.families import efficientnet
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Sum,
    layers,
    output_shape,
    pad,
    parameters,
)
from smidgen.modules import TreeModule, create, sample_keys, set_sample_keys
from smidgen.spec import Shape, TreeError


@pytest.mark.parametrize("name", families.names())
def test_tree_and_built_module_agree_on_params_macs_state_and_output(name: str) -> None:
    network = families.network(name)
    with torch.device("meta"):
        model = create(network).eval()
        x = torch.empty(2, *network.input[:3])
    with FlopCounterMode(display=False) as counter:
        y = model(x)
    cost = network.cost()
    assert sum(p.numel() for p in model.parameters()) == cost.params
    assert sum(b.numel() for b in model.buffers()) == cost.buffers
    # torch counts two operations a multiply-add, over the whole batch.
    assert counter.get_total_flops() == 2 * 2 * cost.macs
    assert y.shape == (2, network.num_classes)
    assert [(key, tuple(p.shape)) for key, p in model.named_parameters()] == parameters(network.tree)


SMALL = [
    "efficientnet_b0",
    "efficientnet_lite0",
    "efficientnet_v2_b0",
    "squeezenet1_0",
    "squeezenet1_1_complex_bypass",
]


@pytest.mark.parametrize(
    "name", [*SMALL, "shiftnet_c", "shiftresnet20_e1", "resnet20", "resnet20_depthwise_e1"]
)
@pytest.mark.parametrize("side", [8, 28, 33])
def test_built_maps_have_the_trees_shapes_on_small_and_odd_pictures(name: str, side: int) -> None:
    network = families.network(name, num_classes=3, c_in=1, resolution=side)
    with torch.device("meta"):
        model = create(network).eval()
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for path, layer in model.named_modules():
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d | nn.Linear):
                layer.register_forward_hook(
                    lambda _m, _x, y, path=path: shapes.append((path, tuple(y.shape[1:])))
                )
        model(torch.empty(1, 1, side, side))
    expected = []

    for layer in layers(network.tree, network.input):
        if isinstance(layer.node, Conv | Pool | Linear):
            shape = (layer.out.channels,) if layer.out.flat else tuple(layer.out[:3])
            expected.append((layer.path, shape))
    assert shapes == expected


def test_unnamed_children_live_in_their_parents_namespace() -> None:
    inner = Chain((("b", Conv(4, 4)), ("", Concat((("", Chain((("c", Conv(4, 2)),))), ("d", Conv(4, 3)))))))
    model = TreeModule(Chain((("a", Conv(3, 4)), ("", inner))))
    assert list(model.state_dict()) == ["a.weight", "b.weight", "c.weight", "d.weight"]
    x = torch.randn(1, 3, 2, 2)
    a, b, c, d = (model.get_submodule(name) for name in "abcd")
    h = b(a(x))
    assert torch.equal(model(x), torch.cat([c(h), d(h)], 1))


def test_sum_gate_and_concat_do_what_they_say() -> None:
    x = torch.randn(2, 3, 4, 4)
    branches = (("", Chain()), ("one", Conv(3, 3)), ("two", Chain((("0", Conv(3, 3)),))))
    total = TreeModule(Sum(branches))
    one, two = total.get_submodule("one"), total.get_submodule("two")
    torch.testing.assert_close(total(x), x + one(x) + two(x))
    gate = TreeModule(Gate((("pool", GlobalPool()), ("gate", Activation("sigmoid")))))
    torch.testing.assert_close(gate(x), x * x.mean((2, 3), keepdim=True).sigmoid())
    side = TreeModule(Concat((("", Chain()), ("one", Conv(3, 2)))))
    assert torch.equal(side(x), torch.cat([x, side.get_submodule("one")(x)], 1))


def test_empty_chain_is_the_identity() -> None:
    x = torch.randn(1, 2, 3, 3)
    assert TreeModule(Chain())(x) is x
    assert TreeModule(Chain((("dropped", Chain()), ("", Chain()))))(x) is x


@pytest.mark.parametrize(
    "tree",
    [
        Chain((("relu", Activation("relu")),)),
        Sum((("", Chain()), ("branch", Chain((("relu", Activation("silu")), ("conv", Conv(3, 3))))))),
        Sum((("relu", Activation("relu6")), ("", Chain()))),
        Gate((("relu", Activation("relu")),)),
        Concat((("", Chain()), ("", Chain((("relu", Activation("relu")),))))),
    ],
)
def test_an_input_that_somebody_still_reads_is_not_overwritten(tree: Node) -> None:
    model = TreeModule(tree)
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    model(x)
    assert torch.equal(x, before)


def test_activation_works_in_place_only_on_what_its_own_chain_made() -> None:
    steps = (
        ("conv", Conv(3, 3)),
        ("norm", BatchNorm(3)),
        ("relu", Activation("relu")),
        ("", Chain()),
        ("late", Activation("relu")),
    )
    model = TreeModule(Chain(steps))
    relu, late = model.get_submodule("relu"), model.get_submodule("late")
    assert isinstance(relu, nn.ReLU)
    assert isinstance(late, nn.ReLU)
    assert relu.inplace
    assert not late.inplace


def drop_path_net(p: float) -> TreeModule:
    return TreeModule(Sum((("", Chain()), ("block", Chain((("0", Conv(1, 1, init="normal_01")),)))), p))


def test_drop_path_loses_whole_samples_and_scales_the_others() -> None:
    model = drop_path_net(0.25)
    nn.init.ones_(model.get_parameter("block.0.weight"))
    x = torch.ones(4000, 1, 2, 3)
    set_sample_keys(model, sample_keys(0, 0, torch.arange(4000)))
    y = model(x)
    assert torch.equal(y, y[:, :1, :1, :1].expand_as(y))
    kept = y[:, 0, 0, 0] > 1
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 + 1 / 0.75))
    assert torch.equal(y[~kept], x[~kept])  # the identity is never dropped
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(model.eval()(x), 2 * x)


def dropping_net() -> TreeModule:
    block = efficientnet.mbconv(4, 4, drop_path=0.5)
    steps = (("stem", Conv(3, 4)), ("0", block), ("drop", Dropout(0.5)), ("1", block), ("flatten", Flatten()))
    return TreeModule(Chain(steps))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]])
@pytest.mark.parametrize("batch", [1, 2, 6])
def test_dropout_and_drop_path_do_not_depend_on_batches_or_order(order: list[int], batch: int) -> None:
    model = dropping_net()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()  # batch statistics would tie the samples together
    x = torch.randn(6, 3, 4, 4)

    def run(indices: list[int]) -> Tensor:
        chosen = torch.tensor(indices)
        set_sample_keys(model, sample_keys(7, 3, chosen))
        y: Tensor = model(x[chosen])
        return y

    with torch.no_grad():
        expected = run(list(range(6)))
        for start in range(0, 6, batch):
            indices = order[start : start + batch]
            torch.testing.assert_close(run(indices), expected[indices])


def test_copies_run_and_train_on_their_own() -> None:
    model = TreeModule(Chain((("conv", Conv(1, 1, bias=True)), ("flatten", Flatten()))))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        x = torch.randn(2, 1, 3, 3)
        assert torch.equal(other(x), model(x))
        for parameter in other.parameters():
            nn.init.zeros_(parameter)
        assert not other(x).any()
        assert model(x).any()


def test_a_single_leaf_is_refused_in_one_line() -> None:
    with pytest.raises(TreeError, match="not a Conv"):
        TreeModule(Conv(1, 1))


def test_same_padding_matches_the_trees_shape_on_every_size() -> None:
    for size in range(1, 20):
        for conv in (
            Conv(1, 1, 3, 2, "same"),
            Conv(1, 1, 5, 3, "same", dilation=2),
            Conv(1, 1, 2, 1, "same"),
        ):
            tree = Chain((("conv", conv),))
            out = output_shape(tree, Shape(1, size, size + 1))
            assert TreeModule(tree)(torch.zeros(1, 1, size, size + 1)).shape[1:] == out[:3]


def test_one_node_in_two_places_makes_two_modules() -> None:
    conv = Conv(2, 2, 3, padding=pad(1))
    model = TreeModule(Chain((("0", conv), ("1", conv))))
    assert sum(p.numel() for p in model.parameters()) == 2 * 36
