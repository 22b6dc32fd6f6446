"""A model and its preprocessing, ready for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from smidgen.families import names
from smidgen.graph import Network
from smidgen.images import decode, normalise, resize_crop
from smidgen.modules import NetworkModule, create, load
from smidgen.spec import UnknownNameError, closest
from smidgen.weights import Progress

__all__ = ["Prediction", "Predictor", "open_predictor"]


class Prediction(NamedTuple):
    """One answer: class name (its number where names are unknown) and probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Network and weights."""

    network: Network
    model: NetworkModule

    def rank(self, picture: Path) -> list[Prediction]:
        """All classes for one picture, most probable first. Raises PictureError."""
        network = self.network
        pixels = resize_crop(decode(picture, network.input.channels), network.input, network.preprocess)
        x = torch.from_numpy(normalise(pixels[None], network.preprocess))
        with torch.inference_mode():
            probabilities = self.model(x).softmax(1)[0].numpy()
        order = np.argsort(-probabilities, kind="stable")
        labels = network.classes or tuple(map(str, range(network.num_classes)))
        return [Prediction(labels[index], float(probabilities[index])) for index in order]


def open_predictor(model: str, progress: Progress | None = None) -> Predictor:
    """Open a model file, or a published name with its published weights.

    Raises   ModelFileError, WeightsError or UnknownNameError.
    """
    if model in names():
        module = create(model, weights="imagenet", progress=progress)
        return Predictor(module.network, module.eval())
    path = Path(model)
    if not path.exists() and path.suffix == "" and len(path.parts) == 1:
        raise UnknownNameError(
            f"no file and no network '{model}'; {closest(model, names())}`smidgen models` lists all"
        )
    return Predictor(*load(path))
