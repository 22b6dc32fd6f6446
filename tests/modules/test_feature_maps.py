import pytest
import torch
from torch import nn

from smidgen.modules import create, feature_maps
from smidgen.spec import ShapeError


def captured(model: nn.Module, x: torch.Tensor, paths: dict[int, str]) -> dict[int, torch.Tensor]:
    maps: dict[int, torch.Tensor] = {}
    for stride, path in paths.items():
        model.get_submodule(path).register_forward_hook(
            lambda _m, _x, y, stride=stride: maps.__setitem__(stride, y)
        )
    with torch.no_grad():
        model(x)
    return maps


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (
            "efficientnet_b0",
            {2: "features.1", 4: "features.2", 8: "features.3", 16: "features.5", 32: "features.8"},
        ),
        (
            "efficientnet_v2_s",
            {2: "features.1", 4: "features.2", 8: "features.3", 16: "features.5", 32: "features.7"},
        ),
        ("squeezenet1_0", {2: "features.1", 4: "features.5", 8: "features.10", 16: "features.12"}),
        ("shiftresnet20_e1", {1: "features.1", 2: "features.2", 4: "features.3"}),
    ],
)
def test_maps_are_those_between_the_papers_stages(name: str, paths: dict[int, str]) -> None:
    model = create(name, resolution=64, dropped_strides=0).eval()
    x = torch.randn(1, 3, 64, 64)
    expected = captured(model, x, paths)
    with torch.no_grad():
        maps = feature_maps(model, x)
    assert list(maps) == list(paths)
    for stride, value in maps.items():
        assert torch.equal(value, expected[stride])


def test_dropped_strides_drop_their_maps() -> None:
    model = create("efficientnet_b0", resolution=16).eval()
    strides = list(feature_maps(model, torch.randn(1, 3, 16, 16)))
    assert strides == [1, 2, 4]


def test_gradients_reach_the_stem() -> None:
    model = create("resnet20").eval()
    feature_maps(model, torch.randn(1, 3, 32, 32))[4].sum().backward()  # type: ignore[no-untyped-call]
    assert model.get_parameter("features.0.0.weight").grad is not None


def test_a_foreign_module_is_refused() -> None:
    with pytest.raises(ShapeError, match="not a Linear"):
        feature_maps(nn.Linear(1, 1), torch.zeros(1, 1))
