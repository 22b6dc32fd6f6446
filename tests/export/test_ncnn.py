"""What ncnn makes of the exported files is what torch makes of the tree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smidgen
from lively import lively, network_of, tensors_of
from random_trees import cases, examples, pools
from smidgen.bench.rivals import ncnn
from smidgen.export.depthwise import ShiftForm, has_shifts
from smidgen.export.ncnn import to_ncnn
from smidgen.graph import Node
from smidgen.spec import ModelFileError, Shape

TOLERANCE = 1e-4  # of the outputs' scale
FORMS = get_args(ShiftForm)
NAMES = (
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s", "squeezenet1_0", "squeezenet1_1",
    "squeezenet1_0_complex_bypass", "shiftnet_b", "shiftresnet20_e3", "resnet20",
)  # fmt: skip

needs_ncnn = pytest.mark.skipif(importlib.util.find_spec("ncnn") is None, reason="ncnn is not installed")


def assert_same_answer(network: smidgen.Network, form: ShiftForm, pictures: int) -> None:
    module = lively(network)
    x = torch.randn(pictures, *network.input[:3])
    with torch.no_grad():
        wanted = module(x).flatten(1).numpy()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.param"
        to_ncnn(network, tensors_of(module), shift=form).write(path)
        for setting in ncnn.settings(shifts=False):
            found = ncnn.prepare(path, 1, setting)(x.numpy())
            assert found.shape == wanted.shape
            assert np.abs(found - wanted).max() <= TOLERANCE * max(np.abs(wanted).max(), 1e-3)


@needs_ncnn
@pytest.mark.parametrize("name", NAMES)
def test_networks_of_every_family(name: str) -> None:
    network = smidgen.network(name, num_classes=11, resolution=67)
    for form in FORMS if has_shifts(network) else FORMS[:1]:
        assert_same_answer(network, form, pictures=3)


@needs_ncnn
@examples(60)
@given(cases(), st.sampled_from(FORMS))
def test_random_trees(case: tuple[Node, Shape], form: ShiftForm) -> None:
    assert_same_answer(network_of(*case), form, pictures=2)


@needs_ncnn
@examples(100)
@given(pools())
def test_pools_of_any_window_mean_what_they_mean_to_torch(case: tuple[Node, Shape]) -> None:
    assert_same_answer(network_of(*case), "slices", pictures=1)


@examples(60)
@given(cases(), st.sampled_from(FORMS))
def test_files_hold_what_they_announce_and_every_blob_has_one_reader(
    case: tuple[Node, Shape], form: ShiftForm
) -> None:
    network = network_of(*case)
    model = to_ncnn(network, tensors_of(lively(network)), shift=form)
    magic, counts, *lines = model.param.splitlines()
    made: list[str] = []
    read: list[str] = []
    weights = 0  # bytes
    for line in lines:
        kind, _, inputs, outputs, *rest = line.split()
        names, numbers = rest[: int(inputs) + int(outputs)], rest[int(inputs) + int(outputs) :]
        parameters = dict(number.split("=") for number in numbers)
        assert set(names[: int(inputs)]) <= set(made)
        read += names[: int(inputs)]
        made += names[int(inputs) :]
        # Where a layer says how many weights it has, with four bytes before them, and whether it has a bias.
        total, bias = {"InnerProduct": ("2", "1"), "Scale": ("0", "1")}.get(kind, ("6", "5"))
        if kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct", "Scale"):
            columns = int(parameters[bias]) * int(parameters["0"])
            weights += 4 * (int(parameters[total]) + columns + (kind != "Scale"))
    assert magic == "7767517"
    assert counts == f"{len(lines)} {len(made)}"
    assert len(set(read)) == len(read)
    assert len(set(made)) == len(made)
    assert set(made) - set(read) >= {"logits"}
    assert len(model.bin) == weights


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelFileError, match="is missing"):
        to_ncnn(smidgen.network("resnet20"), {})
