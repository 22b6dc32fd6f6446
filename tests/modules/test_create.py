import copy
import importlib
import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from smidgen import families
from smidgen.modules import create
from smidgen.spec import SmidgenError, UnknownNameError, WeightsError

NAME = "squeezenet1_1"
HEAD, STEM = "classifier.1", "features.0"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Stand in for a download: the state that `published_state` would return."""
    state = {key: torch.full_like(value, 0.5) for key, value in create(NAME).state_dict().items()}
    # The package's attribute `create` is the function; this is its module.
    module = importlib.import_module("smidgen.modules.create")
    monkeypatch.setattr(module, "published_state", lambda *_: copy.deepcopy(state))
    return state


def test_created_module_carries_its_network() -> None:
    network = families.network("resnet20", num_classes=3)
    assert create(network).network == network
    assert create("resnet20", num_classes=3).network == network


def test_same_generator_state_gives_the_same_weights() -> None:
    torch.manual_seed(0)
    first = create("shiftresnet20_e1")
    torch.manual_seed(0)
    second = create("shiftresnet20_e1")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weights_fill_every_tensor_and_bring_their_preprocessing(published: dict[str, Tensor]) -> None:
    model = create(NAME, weights="imagenet")
    assert model.new_layers == ()
    assert all(torch.equal(value, published[key]) for key, value in model.state_dict().items())
    assert len(model.network.classes) == 1000
    assert model.network.preprocess.resize == 256


def test_a_stem_for_grey_pictures_answers_as_the_colour_stem_does_to_grey(
    published: dict[str, Tensor],
) -> None:
    grey = create(NAME, weights="imagenet", c_in=1).eval()
    colour = create(NAME, weights="imagenet").eval()
    assert grey.new_layers == ()
    pictures = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(grey(pictures), colour(pictures.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "new"),
    [({"num_classes": 7}, (HEAD,)), ({"c_in": 2}, (STEM,)), ({"num_classes": 7, "c_in": 4}, (STEM, HEAD))],
)
def test_layers_that_do_not_fit_stay_new_and_are_named(
    published: dict[str, Tensor],
    options: dict[str, Any],
    new: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "smidgen"):
        model = create(NAME, weights="imagenet", **options)
    assert model.new_layers == new
    assert all(name in caplog.text for name in new)
    for key, value in model.state_dict().items():
        loaded = value.shape == published[key].shape and torch.equal(value, published[key])
        assert loaded == (key.rpartition(".")[0] not in new), key
    assert model.network.classes == () or "num_classes" not in options


def test_another_resolution_scales_the_published_resize(published: dict[str, Tensor]) -> None:
    network = create(NAME, weights="imagenet", resolution=112).network
    assert network.input.height == 112
    assert network.preprocess.resize == 128


def test_weights_without_a_published_file_are_refused() -> None:
    with pytest.raises(WeightsError):
        create("resnet20", weights="imagenet")
    with pytest.raises(WeightsError, match="imagenet"):
        create(NAME, weights="cifar")


def test_options_beside_a_network_and_unknown_names_are_refused() -> None:
    with pytest.raises(SmidgenError, match="num_classes"):
        create(families.network("resnet20"), num_classes=3)
    with pytest.raises(UnknownNameError, match="did you mean resnet20"):
        create("resnet21")
