import pytest

import smidgen
from smidgen import families, models


def test_every_buildable_name_is_a_function_of_that_name() -> None:
    for name in families.names():
        assert getattr(models, name).__name__ == name
    assert set(families.names()) < set(dir(models))
    assert {"SqueezeNet", "Fire"} < set(dir(models))


def test_options_reach_the_network() -> None:
    model = models.resnet20(num_classes=7, c_in=1, resolution=16)
    assert model.network == families.network("resnet20", num_classes=7, c_in=1, resolution=16)


@pytest.mark.parametrize("arguments", [{"pretrained": True}, {"weights": "imagenet"}])
def test_pretrained_means_imagenet_weights(
    arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("smidgen.models.create", lambda name, *, weights: asked.append((name, weights)))
    models.efficientnet_b3(**arguments)
    models.squeezenet1_0()
    assert asked == [("efficientnet_b3", "imagenet"), ("squeezenet1_0", None)]


def test_a_misspelt_model_is_an_attribute_error_that_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean efficientnet_b0"):
        models.efficientnt_b0  # noqa: B018
    assert not hasattr(models, "utter_nonsense")


def test_models_are_reached_from_the_package() -> None:
    assert smidgen.models.SqueezeNet is models.SqueezeNet
