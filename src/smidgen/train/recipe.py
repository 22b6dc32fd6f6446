"""Recipes: everything that decides how a network is trained, as values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from smidgen.spec import UnknownNameError, closest
from smidgen.train.errors import TrainingError
from smidgen.train.strengths import Augment, Mixing

__all__ = ["RECIPES", "Decayed", "Optimiser", "Recipe", "Schedule", "TrainingError", "recipe"]

Optimiser = Literal["adamw", "sgd", "rmsprop"]
Schedule = Literal["cosine", "linear", "steps", "exponential"]
Decayed = Literal["weights", "weights and biases", "all"]


_PLAIN = Augment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train: optimiser, schedule, regularisation, augmentation.

    batch_size     pictures a step; batches of one epoch differ by at most one picture
    parts          in which a batch is worked on, to need less memory: gradients are those of the whole, to
                   rounding, but where BatchNorm looks at all of it
    momentum       of sgd (Nesterov where `nesterov`) and rmsprop; adamw reads `betas`
    learning_rate  after the warm-up, which rises linearly from zero
    schedule       cosine and linear fall to zero at the last step; steps multiply by `decay_rate` at
                   each of `milestones` (epochs); exponential every `decay_epochs` epochs
    decayed        what weight decay pulls on: "weights" leaves out norms and biases, "all" nothing
    ema_decay      of the moving average that is evaluated and kept, warmed up; 0 turns it off
    clip_grad      largest norm of the whole gradient; 0 turns it off
    distillation   share of the loss that a teacher gives, where there is one
    head_first     the last linear layer begins as a logistic regression on what it is given
    head_rate      times the learning rate, at which that layer learns
    frozen_norms   BatchNorm keeps the statistics that it came with: few pictures would only blur them
    class_weights  let the classes count alike, however many pictures they have
    mixup          alpha of the Beta distribution by which a picture is blended with another; 0 turns it off
    cutmix         the same for the area over which another picture is pasted; both on: one or the other
    Raises         TrainingError on values that no training can use.
    """

    name: str = "custom"
    epochs: int
    batch_size: int
    parts: int = 1
    optimiser: Optimiser = "adamw"
    learning_rate: float
    momentum: float = 0.9
    nesterov: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    decayed: Decayed = "weights"
    schedule: Schedule = "cosine"
    warmup_epochs: float = 0.0
    milestones: tuple[int, ...] = ()
    decay_rate: float = 0.1
    decay_epochs: float = 1.0
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    clip_grad: float = 0.0
    distillation: float = 0.0
    head_first: bool = False
    head_rate: float = 1.0
    frozen_norms: bool = False
    class_weights: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0
    augment: Augment = _PLAIN

    def __post_init__(self) -> None:
        for choice, allowed in (("optimiser", Optimiser), ("schedule", Schedule), ("decayed", Decayed)):
            if (value := getattr(self, choice)) not in get_args(allowed):
                raise TrainingError(f"no {choice} '{value}'; there are {', '.join(get_args(allowed))}")
        for field, least in (("epochs", 1), ("batch_size", 2), ("parts", 1)):
            if (value := getattr(self, field)) < least:
                raise TrainingError(f"{field}={value}: at least {least} is needed")
        for field in ("learning_rate", "head_rate"):
            if not (value := getattr(self, field)) > 0:
                raise TrainingError(f"{field}={value}: it must be above 0")
        for field in ("label_smoothing", "ema_decay", "momentum", "distillation"):
            if not 0 <= (value := getattr(self, field)) < 1:
                raise TrainingError(f"{field}={value}: it must be at least 0 and below 1")
        for field in ("weight_decay", "warmup_epochs", "clip_grad", "mixup", "cutmix"):
            if not (value := getattr(self, field)) >= 0:
                raise TrainingError(f"{field}={value}: it must be at least 0")

    @property
    def mixing(self) -> Mixing:
        """How pictures are mixed with others."""
        return Mixing(self.mixup, self.cutmix)

    def shortened(self, epochs: int) -> Recipe:
        """The same recipe squeezed into fewer epochs: warm-up and milestones shrink with them."""
        ratio = epochs / self.epochs
        return dataclasses.replace(
            self,
            epochs=epochs,
            warmup_epochs=self.warmup_epochs * ratio,
            milestones=tuple(round(milestone * ratio) for milestone in self.milestones),
            decay_epochs=self.decay_epochs * ratio,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries, ready for JSON."""
        document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote; an absent field takes its default.

        Raises   TrainingError on unknown fields or missing ones.
        """
        for field in ("epochs", "batch_size", "learning_rate"):
            if field not in document:
                raise TrainingError(f"the recipe has no '{field}'")
        values = _arguments(document, cls)
        augment = Augment(**_arguments(values.pop("augment", {}), Augment))
        return cls(**values, augment=augment)


def _arguments(document: Mapping[str, Any], kind: type[Recipe | Augment]) -> dict[str, Any]:
    """Arguments of the dataclass: lists as tuples, unknown names refused."""
    fields = [field.name for field in dataclasses.fields(kind)]
    for key in document:
        if key not in fields:
            raise TrainingError(
                f"a recipe has no field '{key}'; {closest(key, fields)}fields are {', '.join(fields)}"
            )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}


def recipe(name: str) -> Recipe:
    """One of the named recipes.

    Raises   UnknownNameError for another name.
    """
    known = {row.name: row for row in RECIPES}
    if name not in known:
        raise UnknownNameError(f"no recipe '{name}'; {closest(name, known)}recipes are {', '.join(known)}")
    return known[name]


RECIPES: tuple[Recipe, ...] = (
    # Smidgen's default for small pictures and small networks, by experiment on the UCI digits. Half the
    # rate without clipping is as good after 60 epochs; after 12 it is about a point behind on EfficientNet
    # and ShiftNet, and level on ResNet. Rate and clipping were changed together, never measured apart.
    Recipe(
        name="small",
        epochs=60,
        batch_size=64,
        learning_rate=8e-3,
        weight_decay=0.05,
        warmup_epochs=5,
        label_smoothing=0.1,
        ema_decay=0.999,
        clip_grad=1.0,
        augment=Augment(rotation=10, translation=0.1, scale=(0.9, 1.1), shear=5),
    ),
    # Tuning of published weights to some hundred or thousand pictures: results/transfer.csv.
    Recipe(
        name="tuning",
        epochs=15,
        batch_size=32,
        learning_rate=3e-4,
        head_first=True,
        weight_decay=0.02,
        warmup_epochs=1,
        label_smoothing=0.1,
        ema_decay=0.98,
        clip_grad=1.0,
        frozen_norms=True,
        augment=Augment(translation=0.05, scale=(0.9, 1.1)),
    ),
    # Tuning of the first blocks of published weights under a new head. The rates are those of the probes in
    # results/README.md, on 3,800 drawn pictures; the head begins as a logistic regression.
    Recipe(
        name="cut",
        epochs=30,
        batch_size=32,
        learning_rate=1e-3,
        head_first=True,
        head_rate=5.0,
        weight_decay=0.02,
        warmup_epochs=2,
        label_smoothing=0.1,
        ema_decay=0.98,
        clip_grad=1.0,
        frozen_norms=True,
        augment=Augment(translation=0.05, scale=(0.9, 1.1), flip=True),
    ),
    # Tan & Le 2019, arXiv:1905.11946, section 5.2, and the authors' TPU code: rate 0.016 per 256
    # pictures, decay of everything but BatchNorm. torch adds eps outside the root, TensorFlow inside.
    # Crops and flips as there; AutoAugment with the sub-policies that its paper tabulates (arXiv:1805.09501,
    # table 9), where that code has a later list. All moves are one warp; colours change behind it.
    Recipe(
        name="efficientnet",
        epochs=350,
        batch_size=256,
        optimiser="rmsprop",
        learning_rate=0.016,
        momentum=0.9,
        alpha=0.9,
        eps=1e-3,
        weight_decay=1e-5,
        decayed="weights and biases",
        schedule="exponential",
        warmup_epochs=5,
        decay_rate=0.97,
        decay_epochs=2.4,
        label_smoothing=0.1,
        ema_decay=0.9999,
        augment=Augment(crop=(0.08, 1.0), flip=True, auto=1.0),
    ),
    # Iandola et al. 2016, arXiv:1602.07360, and the authors' Caffe solver: 170,000 steps of 512
    # are 68 epochs of ImageNet; Caffe decays every parameter.
    Recipe(
        name="squeezenet",
        epochs=68,
        batch_size=512,
        optimiser="sgd",
        learning_rate=0.04,
        momentum=0.9,
        nesterov=False,
        weight_decay=2e-4,
        decayed="all",
        schedule="linear",
        augment=Augment(translation=0.06, flip=True),
    ),
    # Wu et al. 2018, arXiv:1711.08141, as the authors train on CIFAR (code: shiftresnet-cifar):
    # crops of 32 pixels padded by 4, flips, and decay of every parameter.
    Recipe(
        name="shiftresnet",
        epochs=164,
        batch_size=128,
        optimiser="sgd",
        learning_rate=0.1,
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        decayed="all",
        schedule="steps",
        milestones=(82, 123),
        decay_rate=0.1,
        augment=Augment(translation=0.125, flip=True),
    ),
)
