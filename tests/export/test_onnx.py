"""What ONNX Runtime makes of the exported graph is what torch makes of the tree."""

from __future__ import annotations

from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import smidgen
from lively import lively, network_of, tensors_of
from random_trees import cases, examples, pools
from smidgen.export.depthwise import ShiftForm
from smidgen.export.onnx import to_onnx
from smidgen.graph import Chain, Node, Shift, leaves, tensors
from smidgen.spec import ModelFileError, Shape

TOLERANCE = 1e-4  # of the outputs' scale
FORMS = get_args(ShiftForm)
NAMES = (
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s", "squeezenet1_0_complex_bypass",
    "squeezenet1_1", "shiftnet_a", "shiftnet_c", "shiftresnet20_e3", "resnet20",
)  # fmt: skip


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answer: NDArray[np.float32] = session.run(["logits"], {"x": x})[0]
    return answer


def assert_same_answer(network: smidgen.Network, form: ShiftForm, pictures: int) -> None:
    module = lively(network)
    x = torch.randn(pictures, *network.input[:3])
    with torch.no_grad():
        wanted = module(x).numpy()
    found = run(to_onnx(network, tensors_of(module), shift=form), x.numpy())
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= TOLERANCE * max(np.abs(wanted).max(), 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_every_family(name: str) -> None:
    network = smidgen.network(name, num_classes=11, resolution=67)
    moves = any(isinstance(leaf, Shift) for _, leaf in leaves(network.tree))
    for form in FORMS if moves else FORMS[:1]:
        assert_same_answer(network, form, pictures=3)


@examples(60)
@given(cases(), st.sampled_from(FORMS))
def test_random_trees(case: tuple[Node, Shape], form: ShiftForm) -> None:
    assert_same_answer(network_of(*case), form, pictures=2)


@examples(100)
@given(pools())
def test_pools_of_any_window_mean_what_they_mean_to_torch(case: tuple[Node, Shape]) -> None:
    assert_same_answer(network_of(*case), "slices", pictures=1)


def test_initialisers_have_state_dict_names_and_the_batch_is_free_unless_given() -> None:
    network = smidgen.network("resnet20", resolution=16)
    weights = tensors_of(smidgen.create(network))
    free, fixed = to_onnx(network, weights), to_onnx(network, weights, batch=4)
    assert {array.name for array in free.graph.initializer} == {
        tensor.name for tensor in tensors(network.tree) if tensor.shape
    }
    sizes = [model.graph.input[0].type.tensor_type.shape.dim[0] for model in (free, fixed)]
    assert (sizes[0].dim_param, sizes[1].dim_value) == ("N", 4)


def test_the_identity_is_a_graph_too() -> None:
    x = np.ones((1, 2, 3, 3), np.float32)
    assert np.array_equal(run(to_onnx(network_of(Chain(), Shape(2, 3, 3)), {}), x), x)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelFileError, match="is missing"):
        to_onnx(smidgen.network("resnet20"), {})
