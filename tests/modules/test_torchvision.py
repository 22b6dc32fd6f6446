import pytest
import torch

from smidgen import models
from smidgen.modules import create
from torchvision_oracle import randomise, relative_difference, torchvision_models

EFFICIENTNETS = [f"efficientnet_b{number}" for number in range(8)]
V2 = ["efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"]
SQUEEZENETS = ["squeezenet1_0", "squeezenet1_1"]


@pytest.mark.parametrize("name", EFFICIENTNETS + V2 + SQUEEZENETS)
def test_state_dict_has_torchvisions_keys_order_and_shapes(name: str) -> None:
    theirs = getattr(torchvision_models(), name)
    with torch.device("meta"):
        ours, oracle = create(name).state_dict(), theirs().state_dict()
    assert [(key, value.shape, value.dtype) for key, value in ours.items()] == [
        (key, value.shape, value.dtype) for key, value in oracle.items()
    ]


@pytest.mark.parametrize("name", EFFICIENTNETS + V2 + SQUEEZENETS)
def test_layers_have_torchvisions_settings(name: str) -> None:
    theirs = getattr(torchvision_models(), name)
    with torch.device("meta"):
        ours, oracle = create(name), theirs()
    mine = dict(ours.named_modules())
    for path, layer in oracle.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.Conv2d | torch.nn.MaxPool2d | torch.nn.Linear):
            assert repr(mine[path]) == repr(layer), path
        if isinstance(layer, torch.nn.Dropout):
            assert mine[path].p == layer.p, path


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("efficientnet_b0", 64),
        ("efficientnet_b0", 97),
        ("efficientnet_v2_s", 64),
        ("squeezenet1_0", 65),
        ("squeezenet1_1", 64),
        *((name, 64) for name in EFFICIENTNETS[1:4]),
        *(pytest.param(name, 64, marks=pytest.mark.slow) for name in EFFICIENTNETS[4:]),
    ],
)
def test_outputs_equal_torchvisions_on_random_weights_and_statistics(name: str, side: int) -> None:
    oracle = getattr(torchvision_models(), name)(num_classes=50).eval()
    randomise(oracle, seed=1)
    ours = create(name, num_classes=50).eval()
    ours.load_state_dict(oracle.state_dict())
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = oracle(x)
        assert expected.std() > 1e-2, "the oracle's outputs vanish and cannot tell right from wrong"
        assert relative_difference(expected[:1], expected[1:]) > 1e-2, "the outputs ignore the picture"
        assert relative_difference(ours(x), expected) < 1e-5


@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_1"])
def test_gradients_and_statistics_of_a_training_step_equal_torchvisions(name: str) -> None:
    oracle = getattr(torchvision_models(), name)(num_classes=7)
    randomise(oracle, seed=3)
    ours = create(name, num_classes=7)
    ours.load_state_dict(oracle.state_dict())
    for module in (*ours.modules(), *oracle.modules()):  # what is drawn at random cannot be compared
        if type(module).__name__ in {"Dropout", "StochasticDepth"}:
            setattr(module, "p", 0.0)  # noqa: B010
        elif type(module).__name__ == "TreeModule" and module._streams:
            module.eval()
            for part in module.children():
                part.train()
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    for model in (ours, oracle):
        model(x).square().mean().backward()
    for (path, parameter), theirs in zip(ours.named_parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=path)
    for (path, buffer), theirs in zip(ours.named_buffers(), oracle.buffers(), strict=True):
        torch.testing.assert_close(buffer, theirs, msg=path)


def test_torchvision_init_of_depthwise_layers_ignores_groups_and_ours_does_not() -> None:
    path = "features.2.0.block.1.0.weight"

    def spread(model: torch.nn.Module) -> float:
        return float(model.get_parameter(path).detach().std())

    oracle = spread(torchvision_models().efficientnet_b0())
    assert spread(models.efficientnet_b0(init="torchvision")) == pytest.approx(oracle, rel=0.15)
    assert spread(models.efficientnet_b0()) == pytest.approx((2 / 9) ** 0.5, rel=0.15)
