"""Training: recipes as values, augmentation as a function of the sample, one deterministic loop.

    history = train(model, recipe("small"), TrainingData(train, val, preprocess), seed=0)

Recipes are values without torch; what needs torch is loaded when first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from smidgen.train.errors import TrainingError
from smidgen.train.recipe import RECIPES, Recipe, recipe
from smidgen.train.strengths import Augment

if TYPE_CHECKING:
    from smidgen.train.evaluate import accuracy, confusion, cross_entropy, predict_logits
    from smidgen.train.loop import History, Training, train
    from smidgen.train.material import Material, prepare
    from smidgen.train.metrics import EpochRow, read_rows, write_rows
    from smidgen.train.pixels import Examples, TrainingData
    from smidgen.train.predict import open_predictor

# Public name -> file that defines it.
_HOMES = {
    "EpochRow": "metrics",
    "Examples": "pixels",
    "History": "loop",
    "Material": "material",
    "Training": "loop",
    "TrainingData": "pixels",
    "accuracy": "evaluate",
    "confusion": "evaluate",
    "cross_entropy": "evaluate",
    "open_predictor": "predict",
    "predict_logits": "evaluate",
    "prepare": "material",
    "read_rows": "metrics",
    "train": "loop",
    "write_rows": "metrics",
}

__all__ = [
    "RECIPES",
    "Augment",
    "EpochRow",
    "Examples",
    "History",
    "Material",
    "Recipe",
    "Training",
    "TrainingData",
    "TrainingError",
    "accuracy",
    "confusion",
    "cross_entropy",
    "open_predictor",
    "predict_logits",
    "prepare",
    "read_rows",
    "recipe",
    "train",
    "write_rows",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smidgen.train' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"smidgen.train.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
