"""Training: recipes as values, augmentation as a function of the sample, one deterministic loop.

    history = train(model, recipe("small"), TrainingData(train, val, preprocess), seed=0)

Recipes are values without torch; what needs torch is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from
from smidgen.train.errors import Interrupted, TrainingError
from smidgen.train.recipe import RECIPES, Recipe, recipe
from smidgen.train.strengths import Augment

if TYPE_CHECKING:
    from smidgen.train.checkpoint import CheckpointError
    from smidgen.train.distil import Teacher
    from smidgen.train.evaluate import (
        accuracy,
        confusion,
        cross_entropy,
        evaluated,
        none_of_these,
        predict_logits,
        scored,
    )
    from smidgen.train.footprint import training_bytes
    from smidgen.train.hardware import Hardware
    from smidgen.train.loop import History, Training, train
    from smidgen.train.material import Material, Reading, prepare
    from smidgen.train.metrics import EpochRow, read_rows, write_rows
    from smidgen.train.parallel import World, world
    from smidgen.train.pixels import Examples, TrainingData
    from smidgen.train.predict import open_predictor
    from smidgen.train.runfolder import new_run_folder
    from smidgen.train.stopwatch import Stopwatch, Timer
    from smidgen.train.views import Views

# Public name -> file that defines it.
_HOMES = {
    "CheckpointError": "checkpoint",
    "EpochRow": "metrics",
    "Examples": "pixels",
    "Hardware": "hardware",
    "History": "loop",
    "Material": "material",
    "Reading": "material",
    "Stopwatch": "stopwatch",
    "Teacher": "distil",
    "Timer": "stopwatch",
    "Training": "loop",
    "TrainingData": "pixels",
    "Views": "views",
    "World": "parallel",
    "accuracy": "evaluate",
    "confusion": "evaluate",
    "cross_entropy": "evaluate",
    "evaluated": "evaluate",
    "new_run_folder": "runfolder",
    "none_of_these": "evaluate",
    "open_predictor": "predict",
    "predict_logits": "evaluate",
    "prepare": "material",
    "read_rows": "metrics",
    "scored": "evaluate",
    "train": "loop",
    "training_bytes": "footprint",
    "world": "parallel",
    "write_rows": "metrics",
}

__all__ = [
    "RECIPES",
    "Augment",
    "CheckpointError",
    "EpochRow",
    "Examples",
    "Hardware",
    "History",
    "Interrupted",
    "Material",
    "Reading",
    "Recipe",
    "Stopwatch",
    "Teacher",
    "Timer",
    "Training",
    "TrainingData",
    "TrainingError",
    "Views",
    "World",
    "accuracy",
    "confusion",
    "cross_entropy",
    "evaluated",
    "new_run_folder",
    "none_of_these",
    "open_predictor",
    "predict_logits",
    "prepare",
    "read_rows",
    "recipe",
    "scored",
    "train",
    "training_bytes",
    "world",
    "write_rows",
]

__getattr__ = loaded_from(__name__, _HOMES)
