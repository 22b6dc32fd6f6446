"""Training: recipes as values, augmentation as a function of the sample, one deterministic loop."""

from smidgen.train.augment import Augment, augment
from smidgen.train.evaluate import accuracy, confusion, cross_entropy, predict_logits
from smidgen.train.loop import History, train
from smidgen.train.metrics import EpochRow, read_rows, write_rows
from smidgen.train.pixels import Pixels
from smidgen.train.recipe import RECIPES, Recipe, TrainingError, recipe

__all__ = [
    "RECIPES",
    "Augment",
    "EpochRow",
    "History",
    "Pixels",
    "Recipe",
    "TrainingError",
    "accuracy",
    "augment",
    "confusion",
    "cross_entropy",
    "predict_logits",
    "read_rows",
    "recipe",
    "train",
    "write_rows",
]
