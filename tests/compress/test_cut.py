"""The first blocks of a network under a new head."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from smidgen import families
from smidgen.compress import Place, cut, kept, places
from smidgen.graph import Chain, Network, parameters, tensors
from smidgen.modules import create
from smidgen.program import draw_weights, interpret, lower
from smidgen.spec import ShapeError, SmidgenError, WeightsError

# A network with its number of places: ends of blocks and of children without blocks, the stem's among them.
COUNTS = {
    "efficientnet_lite0": 34,  # stem, 16 blocks, closed and open, head
    "efficientnet_v2_b0": 43,  # the first block is a single convolution, which has no projection
    "squeezenet1_1": 9,  # stem, 8 Fire modules
    "squeezenet1_0_complex_bypass": 9,
    "shiftnet_c": 14,  # stem, 12 modules, the last norm
    "resnet20": 10,
}


def network(name: str, classes: int = 7, c_in: int = 3, resolution: int = 64) -> Network:
    return families.network(name, num_classes=classes, c_in=c_in, resolution=resolution, dropped_strides=0)


@pytest.mark.parametrize("name", COUNTS)
def test_every_block_ends_a_place_and_longer_places_cost_more(name: str) -> None:
    net = network(name)
    found = places(net)
    assert len(found) == COUNTS[name]
    assert list(found) == sorted(found)
    costs = [cut(net, place).cost().params for place in found]
    assert costs == sorted(costs)


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


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0", "efficientnet_v2_b0"])
@pytest.mark.parametrize("number", [1, 4])
def test_an_open_block_gives_what_its_projection_would_read(name: str, number: int) -> None:
    whole = network(name)
    place = [place for place in places(whole) if not place.closed][number]
    small = cut(whole, place)
    ours, theirs = create(small).eval(), create(whole).eval()
    tensors = {key: value.numpy() for key, value in theirs.state_dict().items()}
    ours.load_state_dict(
        {key: torch.from_numpy(value) for key, value in kept(tensors, small).items()}, strict=False
    )
    block = theirs.get_submodule(f"features.{place.child}.{place.blocks - 1}.block")
    seen: list[torch.Tensor] = []
    list(block.children())[-1].register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        theirs(x)
        assert torch.equal(ours.get_submodule("features")(x), seen[0])


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
