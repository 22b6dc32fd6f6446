"""Cuts that obey limits."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

import smidgen
from smidgen import export, families
from smidgen.compress import (
    Cutting,
    Place,
    Share,
    chosen,
    cut,
    importance,
    inside,
    kept,
    made,
    made_good,
    prune,
    wire,
)
from smidgen.graph import Network, parameters
from smidgen.program import draw_weights
from smidgen.spec import BudgetError, SmidgenError

TEN = (
    "efficientnet_lite0", "efficientnet_lite2", "efficientnet_b0", "efficientnet_v2_b0", "squeezenet1_1",
    "squeezenet1_0", "shiftnet_a", "shiftresnet20_e3", "resnet20", "squeezenet1_1_complex_bypass",
)  # fmt: skip


def published(name: str, resolution: int = 32) -> tuple[Network, dict[str, NDArray[Any]]]:
    net = families.network(name, num_classes=5, resolution=resolution, dropped_strides=0)
    return net, draw_weights(net)


@pytest.mark.parametrize("name", TEN)
def test_what_is_cut_and_pruned_counts_builds_runs_and_exports(name: str, tmp_path: Path) -> None:
    net, tensors = published(name)
    generator = np.random.default_rng(TEN.index(name))
    largest = min(4e6, 0.9 * net.cost().params)
    limit = round(10 ** generator.uniform(4, np.log10(largest)))
    for cutting in inside(net, tensors, lambda small: small.cost().params <= limit, most=2):
        small, left = made(net, tensors, cutting)
        assert small.cost().params <= limit
        model = smidgen.create(small).eval()
        missing = model.load_state_dict({key: torch.from_numpy(left[key]) for key in left}, strict=False)
        assert not missing.unexpected_keys
        assert set(missing.missing_keys) == {"classifier.1.weight", "classifier.1.bias"}
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        assert small.cost().params == sum(state[key].size for key, _ in parameters(small.tree))
        x = generator.standard_normal((2, *small.input[:3])).astype(np.float32)
        with torch.no_grad():
            wanted = model(torch.from_numpy(x)).numpy()
        scale = 1e-4 * np.abs(wanted).max()
        smidgen.save(tmp_path / "model.safetensors", small, model)
        answer = smidgen.Engine(tmp_path / "model.safetensors")(x)
        np.testing.assert_allclose(answer, wanted, rtol=1e-4, atol=scale)
        file = export.to_onnx(small, state).SerializeToString()
        session = onnxruntime.InferenceSession(file)
        (told,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(told, wanted, rtol=1e-4, atol=scale)


@functools.cache
def lite() -> tuple[Network, dict[str, NDArray[Any]]]:
    return published("efficientnet_lite0")


def below(limit: int, most: int = 4) -> list[Cutting]:
    return inside(*lite(), lambda small: small.cost().params <= limit, most)


def params(cutting: Cutting) -> int:
    return made(*lite(), cutting)[0].cost().params


def test_first_is_the_longest_cut_that_fits_whole_and_the_others_go_beyond_it() -> None:
    *first, one, other = below(60_000)
    assert first == [Cutting(3, 2, closed=False), Cutting(3, 2)]
    assert [one.place, other.place] == [Place(4, 1, closed=False), Place(4, 2, closed=False)]
    assert 0 < one.share < other.share


def test_open_end_alone_is_offered_where_the_closed_one_does_not_fit() -> None:
    limit = params(Cutting(4, 1, closed=False))
    assert limit < params(Cutting(4, 1))
    assert below(limit)[0] == Cutting(4, 1, closed=False)


def test_closed_end_is_offered_where_the_many_classes_make_the_open_one_larger() -> None:
    net = families.network("efficientnet_lite0", num_classes=1000, resolution=32, dropped_strides=0)
    limit = cut(net, Place(3, 2)).cost().params
    found = inside(net, draw_weights(net), lambda small: small.cost().params <= limit)
    assert cut(net, Place(3, 2, closed=False)).cost().params > limit
    assert found[0] == Cutting(3, 2)


def test_what_the_head_of_an_open_cut_reads_is_pruned_by_what_makes_it() -> None:
    net, tensors = lite()
    net = cut(net, Place(4, 1, closed=False))
    tensors = {name: array.copy() for name, array in kept(tensors, net).items()}
    for name in ("weight", "bias"):
        tensors[f"features.4.0.block.1.1.{name}"][7] = 0  # the norm of the depthwise convolution
    wiring = wire(net)
    channel = wiring.outs["features.4.0.block.1.0"][7]
    (group,) = (group for group in wiring.groups if channel in group.channels)
    assert not group.inner
    assert group.channels[np.argmin(importance(net, tensors, wiring)[group.channels])] == channel


def test_pruned_no_more_than_it_takes() -> None:
    for cutting in below(60_000)[2:]:
        less = dataclasses.replace(cutting, share=cutting.share - 1 / 32)
        assert params(cutting) <= 60_000 < params(less)


def test_same_question_gets_the_same_network_and_the_same_bits() -> None:
    assert below(60_000) == below(60_000)
    (one, first), (other, second) = (made(*lite(), below(60_000)[2]) for _ in range(2))
    assert one == other
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_cutting_survives_json_and_anything_else_is_refused() -> None:
    cutting = below(60_000)[2]
    assert not cutting.closed
    assert Cutting.from_json(json.loads(json.dumps(cutting.to_json()))) == cutting
    assert Cutting.from_json({"child": 3, "blocks": 2, "share": 0.5}) == Cutting(3, 2, 0.5, closed=True)
    with pytest.raises(SmidgenError, match="does not say how a network was cut"):
        Cutting.from_json({"child": 1})


def test_budget_below_the_smallest_cut_is_refused_with_its_costs() -> None:
    with pytest.raises(BudgetError, match=r"smallest, \S+_cut0_1_pruned75, has params=\d+, macs="):
        below(100)


def test_share_out_of_range_is_refused() -> None:
    with pytest.raises(SmidgenError, match=r"inner=0\.8: a share of 0 to 0\.75 can be pruned"):
        Share(0.8)


def test_sizes_are_multiples_of_four_and_a_larger_share_prunes_what_a_smaller_one_does() -> None:
    net, tensors = lite()
    wiring = wire(net)
    matters = importance(net, tensors, wiring)
    before = chosen(wiring, matters, Share())
    assert before.all()
    for step in range(1, 7):
        after = chosen(wiring, matters, Share(step / 8, step / 16))
        assert not (after & ~before).any()
        assert all(after[group.channels].sum() % 4 == 0 for group in wiring.groups)
        before = after


def dead_channel() -> tuple[Network, dict[str, NDArray[Any]], list[int]]:
    """A network with three constant channels: two never pass their rectifier, one always does."""
    net, tensors = published("resnet20")
    tensors = {name: array.copy() for name, array in tensors.items()}
    tensors["features.1.0.block.0.1.weight"][:3] = 0
    tensors["features.1.0.block.0.1.bias"][:3] = (-1, -1, 2)
    channels = wire(net).outs["features.1.0.block.0.0"][:3].tolist()
    return net, tensors, channels


def test_channels_that_never_pass_their_rectifier_do_not_matter() -> None:
    net, tensors, (one, other, constant) = dead_channel()
    matters = importance(net, tensors, wire(net))
    assert matters[one] == matters[other] == 0 < matters[constant]


def test_constant_is_made_good_away_from_the_borders() -> None:
    net, tensors, channels = dead_channel()
    wiring = wire(net)
    keep = np.ones(wiring.count, bool)
    keep[channels] = False
    small, left = prune(net, {**tensors, **made_good(net, tensors, wiring, keep)}, keep)
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ends = []
    for one, state in ((net, tensors), (small, left)):
        model = smidgen.create(one).eval()
        model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        with torch.no_grad():
            ends.append(model.get_submodule("features.1.0")(model.get_submodule("features.0")(x)))
    torch.testing.assert_close(ends[1][..., 1:-1, 1:-1], ends[0][..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)
