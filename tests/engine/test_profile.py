"""What a network has to do is known without its weights."""

import pytest

import smidgen
from smidgen import Engine, native
from smidgen.engine import listed
from smidgen.program import Work, draw_weights

needs_kernels = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")


@needs_kernels
@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "efficientnet_lite0", "squeezenet1_0", "shiftnet_c", "resnet20"]
)
def test_the_list_without_weights_is_what_the_engine_runs(name: str) -> None:
    network = smidgen.network(name, resolution=64)
    engine = Engine((network, draw_weights(network)), threads=1)
    assert [step.work for step in engine.profile(repeats=1)] == listed(network)


def test_the_first_step_of_squeezenet_is_its_stem() -> None:
    # torchvision squeezenet1_1: Conv2d(3, 64, kernel_size=3, stride=2) and ReLU; 224 pixels make 111
    assert listed(smidgen.network("squeezenet1_1"))[0] == Work(
        "conv", 3, 2, 3, 64, 111, 111, activation="relu", planar=True
    )


def test_a_shift_is_no_step_of_its_own() -> None:
    steps = listed(smidgen.network("shiftresnet20_e3"))
    assert sum(step.runs == 9 for step in steps) == 9  # a block each, twenty layers having nine blocks
    assert {step.kind for step in steps if step.runs} == {"conv"}


def test_an_expansion_belongs_to_the_depthwise_convolution_behind_it() -> None:
    steps = listed(smidgen.network("efficientnet_b0"))
    depthwise = [step for step in steps if step.kind == "depthwise"]
    assert len(depthwise) == 16  # Tan & Le 2019, Table 1: 1 + 2 + 2 + 3 + 3 + 4 + 1 blocks
    assert [step.narrow for step in depthwise[:3]] == [0, 16, 24]  # the first block does not expand
    assert [step.c_in for step in depthwise[:3]] == [32, 96, 144]
