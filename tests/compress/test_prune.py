"""Channels that go together, and networks without them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from random_trees import cases, examples
from smidgen import families
from smidgen.compress import Keep, Wiring, cut, places, prune, wire
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Children,
    Concat,
    Conv,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Network,
    Node,
    Pool,
    Preprocess,
    Shift,
    Sum,
    pad,
    tensors,
    validate,
)
from smidgen.modules import TreeModule
from smidgen.program import draw_weights
from smidgen.spec import Shape, ShapeError

PICTURES = Shape(3, 8, 8)


def named(*steps: Node) -> Children:
    return tuple((f"n{index}", step) for index, step in enumerate(steps))


def network(tree: Node, shape: Shape = PICTURES) -> Network:
    numbers = (0.5,) * shape.channels
    return Network("drawn", "none", tree, shape, Preprocess(8, "bilinear", numbers, numbers))


def around(*steps: Node, channels: int = 8) -> Network:
    """Some steps on a map of 8 channels, before a classifier of what they make."""
    end = (GlobalPool(), Flatten(), Linear(channels, 2))
    return network(Chain(named(Conv(3, 8, 3, padding=pad(1)), *steps, *end)))


def drawn_state(model: TreeModule, seed: int = 0) -> None:
    """Numbers of every tensor drawn anew, the BatchNorms' too."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))


class Masked:
    """The whole network, reading zeros where it reads a channel that goes; masks travel with values."""

    def __init__(self, model: TreeModule, wiring: Wiring, keep: Keep) -> None:
        self.model = model
        self.made = {path: torch.from_numpy(keep[outs]) for path, outs in wiring.outs.items()}

    def run(self, node: Node, path: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        match node:
            case Chain(children=children):
                return self.chain(children, path, x, mask)
            case Gate(children=children):
                factor, its = self.chain(children, path, x, mask)
                assert torch.equal(its, mask)
                return x * factor, mask
            case Sum(children=children):
                ends = [self.run(child, f"{path}.{name}", x, mask) for name, child in children]
                assert all(torch.equal(its, ends[0][1]) for _, its in ends)
                return torch.stack([y for y, _ in ends]).sum(0), ends[0][1]
            case Concat(children=children):
                ends = [self.run(child, f"{path}.{name}", x, mask) for name, child in children]
                return torch.cat([y for y, _ in ends], 1), torch.cat([its for _, its in ends])
            case _:
                return self.leaf(node, ".".join(filter(None, path.split("."))), x, mask)

    def chain(self, children: Children, path: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        for name, child in children:
            x, mask = self.run(child, f"{path}.{name}", x, mask)
        return x, mask

    def leaf(self, node: Node, path: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        layer = self.model.get_submodule(path)
        if isinstance(node, Flatten):
            return layer(x.clone()), mask.repeat_interleave(x[0, 0].numel())
        alone = isinstance(node, Conv) and node.groups > 1
        if isinstance(node, Linear | Conv) and not alone:
            x, mask = x.clone(), mask.clone()
            x[:, ~mask] = 0
            return layer(x), self.made[path]
        return layer(x.clone()), mask


def assert_pruned_equals_masked(net: Network, keep: Keep) -> None:
    torch.manual_seed(0)
    whole = TreeModule(net.tree).eval()
    drawn_state(whole)
    weights = {name: tensor.numpy() for name, tensor in whole.state_dict().items()}
    small, left = prune(net, weights, keep)
    validate(small.tree, small.input)
    pruned = TreeModule(small.tree).eval()
    pruned.load_state_dict({name: torch.from_numpy(array) for name, array in left.items()})
    x = torch.randn(2, *net.input[:3], generator=torch.Generator().manual_seed(1))
    everything = torch.ones(net.input.channels, dtype=torch.bool)
    with torch.no_grad():
        masked, mask = Masked(whole, wire(net), keep).run(net.tree, "", x, everything)
        assert mask.all()
        scale = float(masked.abs().max()) or 1
        torch.testing.assert_close(pruned(x), masked, rtol=1e-5, atol=1e-5 * scale)


@st.composite
def keeps(draw: st.DrawFn, wiring: Wiring) -> Keep:
    """At least one channel of every group, and all that are fixed."""
    keep = np.ones(wiring.count, bool)
    for group in wiring.groups:
        size = len(group.channels)
        some = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        some[draw(st.integers(0, size - 1))] = True
        keep[group.channels] = some
    return keep


@examples(60)
@given(st.data())
def test_any_pruned_tree_answers_as_the_whole_one_that_reads_zeros(data: st.DataObject) -> None:
    tree, shape = data.draw(cases())
    net = network(tree, shape)
    assert_pruned_equals_masked(net, data.draw(keeps(wire(net))))


def half(wiring: Wiring) -> Keep:
    """Every second channel of each group."""
    keep = np.ones(wiring.count, bool)
    for group in wiring.groups:
        keep[group.channels[1::2]] = False
    return keep


EXCITE = Gate(
    named(GlobalPool(), Conv(8, 4, bias=True), Activation("silu"), Conv(4, 8), Activation("sigmoid"))
)
SHIFT = Shift(((3, -1, 0), (1, 0, 1), (4, 0, 0)))
DEPTHWISE = Conv(8, 8, 3, padding=pad(1), groups=8, bias=True)
# What channels go through, and the sizes of the groups that are free then, as they are made.
THROUGH = {
    "sum with an identity": (around(Sum((("", Chain()), ("block", Conv(8, 8))))), [8]),
    "sum of two convolutions": (around(Sum(named(Conv(8, 8), Conv(8, 8, bias=True)))), [8, 8]),
    "gate": (around(EXCITE), [8, 4]),
    "concatenation": (around(Concat(named(Conv(8, 4), Pool("avg", 3, 1, 1))), channels=12), [8, 4]),
    "shift": (around(SHIFT, Conv(8, 6), channels=6), [8, 6]),
    "depthwise convolution": (around(DEPTHWISE, BatchNorm(8), Activation("relu6")), [8]),
    "flattened map": (
        network(Chain(named(Conv(3, 8, 3, 2), Flatten(), Linear(72, 6), Linear(6, 2)))),
        [8, 6],
    ),
    "concatenation of a map with itself, in a sum": (
        around(Conv(8, 4), Sum(named(Concat((("", Chain()), ("a", Chain()))), Conv(4, 8)))),
        [8, 4],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THROUGH)
def test_channels_go_together_through_a(name: str) -> None:
    net, sizes = THROUGH[name]
    wiring = wire(net)
    assert [len(group.channels) for group in wiring.groups] == sizes
    keep = half(wiring)
    assert not keep.all()
    assert_pruned_equals_masked(net, keep)


def test_runs_of_a_shift_shrink_and_empty_ones_are_gone() -> None:
    net, _ = THROUGH["shift"]
    keep = np.ones(wire(net).count, bool)
    keep[wire(net).groups[0].channels[[0, 3]]] = False
    small, _ = prune(net, {}, keep)
    assert isinstance(small.tree, Chain)
    assert small.tree.children[1] == ("n1", Shift(((2, -1, 0), (4, 0, 0))))


def test_convolution_in_groups_keeps_what_it_reads_and_makes() -> None:
    net = around(Conv(8, 8, groups=2), Conv(8, 6), channels=6)
    assert [group.makers for group in wire(net).groups] == [("n2",)]


NAMES = ("efficientnet_lite0", "efficientnet_b0", "squeezenet1_1_complex_bypass", "shiftnet_c", "resnet20")


def family_network(name: str) -> Network:
    whole = families.network(name, num_classes=5, resolution=64, dropped_strides=0)
    return cut(whole, [place for place in places(whole) if place.closed][5])


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_goes_network_and_arrays_are_the_same_objects(name: str) -> None:
    net = family_network(name)
    weights = draw_weights(net)
    same, left = prune(net, weights, np.ones(wire(net).count, bool))
    assert same == net
    assert list(left) == list(weights)
    assert all(left[each] is weights[each] for each in weights)


@pytest.mark.parametrize("name", NAMES)
def test_family_pruned_by_half_answers_as_the_whole_one_that_reads_zeros(name: str) -> None:
    net = family_network(name)
    assert_pruned_equals_masked(net, half(wire(net)))


@pytest.mark.parametrize("name", NAMES)
def test_pruned_arrays_have_the_shapes_that_the_pruned_tree_says(name: str) -> None:
    net = family_network(name)
    small, left = prune(net, draw_weights(net), half(wire(net)))
    assert {each: array.shape for each, array in left.items()} == {
        each: shape for each, shape, _ in tensors(small.tree)
    }


def test_inner_channels_are_those_of_one_block() -> None:
    net = family_network("efficientnet_b0")
    inner = {maker for group in wire(net).groups if group.inner for maker in group.makers}
    blocks = {maker.removeprefix("features.").split(".block.")[1] for maker in inner}
    assert blocks == {"0.0", "1.fc1", "2.fc1", "2.fc2"}  # expansions, and what gates them
    assert "features.0.0" not in inner


def test_group_that_would_vanish_and_channels_of_the_output_are_refused() -> None:
    net = around()
    wiring = wire(net)
    keep = np.ones(wiring.count, bool)
    keep[wiring.groups[0].channels] = False
    with pytest.raises(ShapeError, match="nothing would be left of what n0 makes"):
        prune(net, {}, keep)
    keep = np.ones(wiring.count, bool)
    keep[wiring.outs["n3"]] = False
    with pytest.raises(ShapeError, match="is fixed by the input, the output or a grouped"):
        prune(net, {}, keep)
    with pytest.raises(ShapeError, match="drawn has 13 channels; it was told of 12"):
        prune(net, {}, keep[1:])


def test_layers_without_tensors_stay_without() -> None:
    net = family_network("resnet20")
    weights = {name: array for name, array in draw_weights(net).items() if name.startswith("features.")}
    _, left = prune(net, weights, half(wire(net)))
    assert left.keys() == weights.keys()


def test_name_and_classes_stay() -> None:
    net = dataclasses.replace(around(), classes=("a", "b"))
    small, _ = prune(net, {}, half(wire(net)))
    assert (small.name, small.classes, small.num_classes) == ("drawn", ("a", "b"), 2)
