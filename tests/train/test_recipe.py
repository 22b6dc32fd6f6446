import json

import pytest

from smidgen.spec import UnknownNameError
from smidgen.train.augment import Augment
from smidgen.train.recipe import RECIPES, Recipe, TrainingError, recipe


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: row.name)
def test_recipes_survive_json(row: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(row.to_dict()))) == row


def test_squeezenet_trains_as_many_epochs_as_the_caffe_solver() -> None:
    row = recipe("squeezenet")
    assert row.epochs == round(170_000 * row.batch_size / 1_281_167)  # pictures of ImageNet's training set


def test_efficientnet_has_the_papers_optimiser() -> None:
    row = recipe("efficientnet")
    assert (row.optimiser, row.alpha, row.momentum, row.weight_decay) == ("rmsprop", 0.9, 0.9, 1e-5)
    assert row.learning_rate * 4096 / row.batch_size == pytest.approx(0.256)


def test_efficientnet_has_the_papers_augmentation() -> None:
    assert recipe("efficientnet").augment == Augment(crop=(0.08, 1.0), flip=True, auto=1.0)


def test_only_recipes_of_photographs_flip() -> None:
    assert {row.name for row in RECIPES if row.augment.flip} == {
        "cut",
        "efficientnet",
        "squeezenet",
        "shiftresnet",
    }


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean squeezenet"):
        recipe("squeezent")


def test_shortened_keeps_the_shape_of_the_schedule() -> None:
    short = recipe("shiftresnet").shortened(82)
    assert (short.epochs, short.milestones) == (82, (41, 62))
    assert recipe("efficientnet").shortened(70).warmup_epochs == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "adam"}, "no optimiser 'adam'; there are adamw"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1}, "batch_size=1: at least 2"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"ema_decay": 1.0}, "below 1"),
        ({"learning_rat": 0.1}, "did you mean learning_rate"),
        ({"augment": {"rotatoin": 3}}, "did you mean rotation"),
        ({"augment": {"outside": "mirror"}}, "no outside 'mirror'"),
        ({"augment": {"scale": [0.0, 1.0]}}, "scale"),
        ({"augment": {"crop": [0.5, 1.5]}}, r"crop=0.5..1.5: areas must be in 0..1"),
        ({"cutmix": -1.0}, "cutmix=-1.0: it must be at least 0"),
        ({"augment": {"hue": 0.6}}, "hue=0.6: it must be at most 0.5"),
        ({"augment": {"trivial": -1}}, "trivial=-1: it must be at least 0"),
    ],
)
def test_senseless_recipe_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Recipe.from_dict(recipe("small").to_dict() | change)


def test_recipe_without_epochs_is_refused() -> None:
    with pytest.raises(TrainingError, match="no 'epochs'"):
        Recipe.from_dict({"batch_size": 8, "learning_rate": 0.1})
