"""A network and its preprocessing, ready for pictures: one, a list, or a stream without end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smidgen.graph import Network
from smidgen.images import Pixels, normalise, resize
from smidgen.machine import cores
from smidgen.predict.ahead import in_order
from smidgen.predict.pictures import Picture, pixels_of
from smidgen.predict.softmax import softmax
from smidgen.spec import ModelFileError, PictureError

__all__ = ["Forward", "Prediction", "Predictor"]

# What a network does, whoever runs it: float32[N, C, H, W], normalised -> float32[N, classes], no softmax.
Forward: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]

Item = TypeVar("Item")

# The default batch: beyond 64 pictures nothing is gained, and activations stay below half a gigabyte.
_BATCH, _BATCH_BYTES = 64, 2**29


class Prediction(NamedTuple):
    """One answer: class name (its number where names are unknown) and probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A network and what runs it.

    provenance  what the model file says of its origin
    """

    network: Network
    forward: Forward
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def threshold(self) -> float | None:
        """Highest probability below which a picture is none of the classes; None where nobody measured it."""
        entry = self.provenance.get("none_of_these")
        if not isinstance(entry, dict) or entry.get("score") != "maximum softmax probability":
            return None
        value = entry.get("threshold")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return None
        return float(value)

    def none_of_these(self, ranked: Sequence[Prediction]) -> bool | None:
        """Whether the best answer is below the threshold; None where the model file has none."""
        threshold = self.threshold
        return None if threshold is None else ranked[0].probability < threshold

    def rank(self, picture: Picture) -> list[Prediction]:
        """All classes for one picture, most probable first. Raises PictureError."""
        return self.predict([picture])[0]

    def predict(
        self, pictures: Picture | Iterable[Picture], *, top: int | None = None
    ) -> list[list[Prediction]]:
        """The classes of each picture, most probable first.

        pictures  one or many; an array uint8[N, H, W, C] is N pictures
        top       how many classes; default: all
        Raises    PictureError at the first picture that cannot be used.
        """
        answers = []
        for answer in self.stream(_many(pictures), top=top):
            if isinstance(answer, PictureError):
                raise answer
            answers.append(answer)
        return answers

    def stream(
        self,
        pictures: Iterable[Picture],
        *,
        top: int | None = None,
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> Iterator[list[Prediction] | PictureError]:
        """As `predict`, for any number of pictures in bounded memory: one answer after another, in order.

        A picture that cannot be used is answered with the error, and the next ones are done.

        batch_size  pictures that the network sees at once; default: 64, fewer for large networks
        threads     that read pictures; default: the cores that this process may use
        """
        labels = self.network.classes or tuple(map(str, range(self.network.num_classes)))
        # What is in memory belongs to the caller, who may share it: only his thread touches it.
        items = (
            picture if isinstance(picture, str | os.PathLike) else self._small(picture)
            for picture in pictures
        )
        for row in self.outputs(items, self._read, batch_size=batch_size, threads=threads):
            yield row if isinstance(row, PictureError) else self._ranked(row, labels, top)

    def outputs(
        self,
        items: Iterable[Item],
        read: Callable[[Item], Pixels | PictureError],
        *,
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> Iterator[NDArray[np.float32] | PictureError]:
        """The network's outputs for each item in order, or the PictureError of one that cannot be read.

        While the network works on one batch, threads read the next two.

        read  gives uint8[h, w, C] at the network's size, or the error; called from several threads
        """
        size = batch_size or max(1, min(_BATCH, _BATCH_BYTES // self.network.cost().peak_bytes))
        decoded = in_order(read, items, threads or cores(), 2 * size)
        while batch := list(islice(decoded, size)):
            good = [pixels for pixels in batch if not isinstance(pixels, PictureError)]
            rows = iter(self.forward(normalise(np.stack(good), self.network.preprocess)) if good else ())
            for pixels in batch:
                yield pixels if isinstance(pixels, PictureError) else next(rows)

    def _read(self, item: str | os.PathLike[str] | Pixels | PictureError) -> Pixels | PictureError:
        return self._small(item) if isinstance(item, str | os.PathLike) else item

    def _small(self, picture: Picture) -> Pixels | PictureError:
        """The picture at the network's size, or why it cannot be used."""
        network = self.network
        try:
            pixels = pixels_of(picture, network.input.channels)
        except PictureError as error:
            return error
        return resize(pixels, network.input, network.preprocess)

    def _ranked(
        self, logits: NDArray[np.float32], labels: Sequence[str], top: int | None
    ) -> list[Prediction]:
        """Classes by their outputs. Raises ModelFileError where these are not numbers."""
        if not np.isfinite(logits).all():
            raise ModelFileError(f"{self.network.name} answers what is no number; its weights are damaged")
        probabilities = softmax(logits[None])[0]
        # Not by the probabilities: those that are far behind are all nearly 0.
        order = np.argsort(-logits, kind="stable")[:top]
        return [Prediction(labels[index], float(probabilities[index])) for index in order]


def _many(pictures: Picture | Iterable[Picture]) -> Iterable[Picture]:
    if isinstance(pictures, np.ndarray):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    if isinstance(pictures, str | os.PathLike | Image.Image):
        return [pictures]
    return pictures
