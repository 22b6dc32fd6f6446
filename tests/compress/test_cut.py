"""The first blocks of a network under a new head."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import smidgen
from smidgen import families
from smidgen.compress import Place, cut, kept, places
from smidgen.graph import Chain, Network, parameters, tensors
from smidgen.program import draw_weights, interpret, lower
from smidgen.spec import ShapeError, SmidgenError, WeightsError

# A network with its number of places: ends of blocks and of children without blocks, the stem's among them.
COUNTS = {
    "efficientnet_lite0": 18,  # stem, 16 blocks, head
    "efficientnet_v2_b0": 23,
    "squeezenet1_1": 9,  # stem, 8 Fire modules
    "squeezenet1_0_complex_bypass": 9,
    "shiftnet_c": 14,  # stem, 12 modules, the last norm
    "resnet20": 10,
}
# How many of their blocks end with a projection.
OPEN = {
    "efficientnet_lite0": 16,
    "efficientnet_v2_b0": 20,  # the first of 21 blocks is one convolution
    "squeezenet1_1": 0,
    "squeezenet1_0_complex_bypass": 0,
    "shiftnet_c": 0,  # its modules do not expand
    "shiftnet_a": 15,  # modules with a residual, but for the last, which does not expand
    "resnet20": 0,
}


def network(name: str, classes: int = 7, c_in: int = 3, resolution: int = 64) -> Network:
    return families.network(name, num_classes=classes, c_in=c_in, resolution=resolution, dropped_strides=0)


@pytest.mark.parametrize("name", COUNTS)
def test_every_block_ends_a_place_and_longer_places_cost_more(name: str) -> None:
    net = network(name)
    assert list(places(net)) == sorted(places(net))
    found = [place for place in places(net) if place.closed]
    assert len(found) == COUNTS[name]
    costs = [cut(net, place).cost().params for place in found]
    assert costs == sorted(costs)


@pytest.mark.parametrize("name", OPEN)
def test_blocks_with_a_projection_can_end_before_it(name: str) -> None:
    net = network(name)
    found = [place for place in places(net) if not place.closed]
    assert len(found) == OPEN[name]
    for place in found:
        open_end, closed = (cut(net, place._replace(closed=closed)) for closed in (False, True))
        assert open_end.name == f"{closed.name}_open"
        assert head_reads(open_end) > head_reads(closed)


def head_reads(net: Network) -> int:
    (found,) = (shape[1] for name, shape, _ in tensors(net.tree) if name == "classifier.1.weight")
    return found


@pytest.mark.parametrize(
    ("name", "place", "inside"),
    [
        ("efficientnet_lite0", Place(1, 1, closed=False), "features.1.0.block.0"),
        ("efficientnet_lite0", Place(4, 1, closed=False), "features.4.0.block.1"),
        ("efficientnet_lite0", Place(4, 2, closed=False), "features.4.1.block.1"),  # a residual block
        ("efficientnet_b0", Place(3, 2, closed=False), "features.3.1.block.2"),  # behind squeeze-excite
        ("efficientnet_v2_b0", Place(2, 1, closed=False), "features.2.0.block.0"),  # fused
        ("shiftnet_a", Place(1, 2, closed=False), "features.1.1.block.shift"),
    ],
)
def test_open_end_is_what_the_whole_network_has_there(name: str, place: Place, inside: str) -> None:
    net = network(name)
    published = draw_weights(net)
    whole, small = (smidgen.create(one).eval() for one in (net, cut(net, place)))
    state = {key: torch.from_numpy(array) for key, array in published.items()}
    whole.load_state_dict(state)
    small.load_state_dict(
        {**small.state_dict(), **{key: state[key] for key in kept(published, small.network)}}
    )
    seen: list[torch.Tensor] = []
    whole.get_submodule(inside).register_forward_hook(lambda *passed: seen.append(passed[-1]))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole(x)
        answer = small.get_submodule("features")(x)
    assert answer.abs().max() > 0
    torch.testing.assert_close(answer, seen[0], rtol=0, atol=1e-6)


def test_block_that_cannot_be_open_is_refused() -> None:
    with pytest.raises(
        SmidgenError, match=r"squeezenet1_1 cannot be cut after 3\.1 open; its places are 1\.1, "
    ):
        cut(network("squeezenet1_1"), Place(3, 1, closed=False))


@pytest.mark.parametrize("name", COUNTS)
def test_cut_keeps_names_and_shapes_of_the_trunk_and_gives_it_the_classes(name: str) -> None:
    net = network(name)
    for place in places(net):
        small = cut(net, place)
        assert small.num_classes == 7
        assert (small.input, small.preprocess) == (net.input, net.preprocess)
        trunk = [one for one in tensors(small.tree) if one.name.startswith("features.")]
        assert trunk == list(tensors(net.tree))[: len(trunk)]


def test_parameters_are_those_that_were_counted_by_hand() -> None:
    # Figures of the issue that asked for cuts: after children 2, 3 and 4 of Lite0, nine classes.
    net = network("efficientnet_lite0", classes=9)
    rounded = [round(cut(net, Place(*place)).cost().params, -3) for place in ((2, 2), (3, 2), (4, 3))]
    assert rounded == [16_000, 56_000, 255_000]


def test_last_place_of_an_efficientnet_is_the_network_itself() -> None:
    net = network("efficientnet_b0")
    assert cut(net, places(net)[-1]).tree == net.tree


def test_kept_tensors_are_the_published_ones_without_the_head() -> None:
    whole = network("squeezenet1_1", classes=1000)
    published = draw_weights(whole)
    small = cut(network("squeezenet1_1"), Place(4, 1))
    found = kept(published, small)
    assert all(found[name] is published[name] for name in found)
    new = {name for name, _ in parameters(small.tree)} - found.keys()
    assert new == {"classifier.1.weight", "classifier.1.bias"}  # the published one is a convolution


def test_grey_stem_answers_as_the_published_one_to_three_equal_channels() -> None:
    colour, grey = (cut(network("resnet20", c_in=c_in), Place(1, 1)) for c_in in (3, 1))
    published = draw_weights(colour)
    ends = {name: published[name] for name in published if not name.startswith("features.")}
    x = np.random.default_rng(0).standard_normal((2, 1, 64, 64)).astype(np.float32)
    from_colour, from_grey = (
        interpret(lower(net, {**kept(published, net), **ends}), np.repeat(x, net.input.channels, 1))
        for net in (colour, grey)
    )
    np.testing.assert_allclose(from_grey, from_colour, rtol=1e-4, atol=1e-5)


def test_pictures_of_four_channels_are_refused_in_one_line() -> None:
    published = draw_weights(network("resnet20"))
    small = cut(network("resnet20", c_in=4), Place(1, 1))
    with pytest.raises(WeightsError, match=r"see 3 channels, .*the pictures have 4$"):
        kept(published, small)


def test_missing_and_misshapen_tensors_are_told() -> None:
    net = network("resnet20")
    published = draw_weights(net)
    small = cut(net, Place(1, 1))
    wrong = {**published, "features.0.1.bias": np.zeros(3, np.float32)}
    with pytest.raises(WeightsError, match=r"'features\.0\.1\.bias' is \(3,\), not \(16,\)"):
        kept(wrong, small)
    del wrong["features.0.1.bias"]
    with pytest.raises(WeightsError, match=r"lack 'features\.0\.1\.bias'"):
        kept(wrong, small)


def test_place_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(SmidgenError, match=r"resnet20 cannot be cut after 2\.4; its places are 0\.1, 1\.1"):
        cut(network("resnet20"), Place(2, 4))


def test_network_without_a_trunk_is_refused() -> None:
    net = dataclasses.replace(network("resnet20"), name="bare", tree=Chain())
    with pytest.raises(SmidgenError, match="bare has no chain 'features'"):
        places(net)


def test_small_pictures_leave_out_places_where_nothing_of_them_is_left() -> None:
    assert len(places(network("squeezenet1_0", resolution=16))) < COUNTS["squeezenet1_1"]
    with pytest.raises(ShapeError, match="too small for its first block"):
        places(network("squeezenet1_0", resolution=4))
