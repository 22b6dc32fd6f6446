"""A network and its preprocessing, ready for pictures: one, a list, or a stream without end."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smidgen.graph import Network
from smidgen.images import MAX_PIXELS, Pixels, decode, normalise, resize_crop
from smidgen.images.appearance import to_pixels
from smidgen.machine import cores
from smidgen.predict.softmax import softmax
from smidgen.spec import ModelFileError, PictureError, SmidgenError

__all__ = [
    "Forward",
    "Picture",
    "Prediction",
    "Predictor",
    "require_sensible",
]

# What a network does, whoever runs it: float32[N, C, H, W], normalised -> float32[N, classes], no softmax.
Forward: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# A file's path, a PIL picture, or uint8[H, W] or [H, W, C] with C of 1 (grey), 3 (colour) or 4 (with alpha).
Picture: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Activation bytes of one picture above which a model file is refused: over ten times what the largest
# published network needs, and no invitation to fill the machine.
MEMORY_LIMIT = 4 * 2**30

# The default batch: beyond 64 pictures nothing is gained, and activations stay below half a gigabyte.
_BATCH, _BATCH_BYTES = 64, 2**29

# Most pictures that a thread takes at once.
_CHUNK = 16


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
        decoded = _in_order(read, items, threads or cores(), 2 * size)
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
            pixels = _pixels(picture, network.input.channels)
        except PictureError as error:
            return error
        return resize_crop(pixels, network.input, network.preprocess)

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


def require_sensible(network: Network, source: str) -> None:
    """Refuse what a hostile file may ask for, before anything is allocated.

    Raises   ModelFileError where the network cannot see pictures, or needs more memory than any sensible one.
    """
    channels, height, width = network.input[:3]
    if channels not in (1, 3):
        raise ModelFileError(
            f"{source}: its input has {channels:,} channels; pictures have 1 (grey) or 3 (colour)"
        )
    if height * width > MAX_PIXELS:
        size = f"its input of {height:,} x {width:,} is {height * width:,} pixels"
        raise ModelFileError(f"{source}: {size}, above the limit of {MAX_PIXELS:,}")
    needed = network.cost().peak_bytes
    if needed > MEMORY_LIMIT:
        raise ModelFileError(
            f"{source}: one picture takes {needed / 2**30:,.1f} GiB of memory in its network, "
            f"above the limit of {MEMORY_LIMIT / 2**30:g} GiB"
        )


def _many(pictures: Picture | Iterable[Picture]) -> Iterable[Picture]:
    if isinstance(pictures, np.ndarray):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    if isinstance(pictures, str | os.PathLike | Image.Image):
        return [pictures]
    return pictures


def _pixels(picture: object, channels: int) -> Pixels:
    """Decode or convert one picture to uint8[H, W, channels]. Raises PictureError."""
    if isinstance(picture, str | os.PathLike):
        return decode(picture, channels)
    if isinstance(picture, Image.Image):
        return _from_pil(picture, channels)
    if isinstance(picture, np.ndarray):
        return _from_array(picture, channels)
    raise PictureError(
        f"{type(picture).__name__}: not a picture; a path, a PIL picture or a uint8 array is needed"
    )


def _from_pil(image: Image.Image, channels: int) -> Pixels:
    name = getattr(image, "filename", "") or "PIL picture"
    if not 0 < image.width * image.height <= MAX_PIXELS:
        size = f"{image.width:,} x {image.height:,}"
        raise PictureError(f"{name}: {size} is outside 1 to {MAX_PIXELS:,} pixels")
    try:
        image.load()
        return to_pixels(image, channels)
    except MemoryError:
        raise
    except Exception as error:  # a file read late and damaged: Pillow raises a dozen different types
        raise PictureError(f"{name}: cannot be used ({' '.join(str(error).split())})") from error


def _from_array(array: NDArray[Any], channels: int) -> Pixels:
    found = f"an array {array.dtype}{list(array.shape)}"
    if array.dtype != np.uint8:
        raise PictureError(f"{found} is no picture; uint8 is needed, values 0 to 255, not yet normalised")
    picture = array[:, :, None] if array.ndim == 2 else array
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size:
        raise PictureError(f"{found} is no picture; uint8[H, W] or [H, W, C] with C of 1, 3 or 4 is needed")
    return to_pixels(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture), channels)


def _in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """Results of the items in their order, from threads that run ahead by about `ahead` items, never more."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and arrays need none

    chunks, process = _chunks(iter(items)), os.getpid()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="smidgen-predict")

    def work(chunk: list[Item]) -> list[Result]:
        return [function(item) for item in chunk]

    try:
        running = deque(
            pool.submit(work, chunk) for chunk in islice(chunks, threads + math.ceil(ahead / _CHUNK))
        )
        while running:
            if os.getpid() != process:  # the threads stayed with the parent: nobody would ever answer
                raise SmidgenError("this stream was begun before a fork; begin a new one in the child")
            done = running.popleft().result()
            running += [pool.submit(work, chunk) for chunk in islice(chunks, 1)]
            yield from done
    finally:  # also where nobody wants the rest, or an error came
        pool.shutdown(wait=False, cancel_futures=True)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Lists that grow from one item to _CHUNK: a few photographs meet every thread, a million tiny pictures
    are handed over in few pieces.
    """
    taken = 0
    while chunk := list(islice(items, min(_CHUNK, 1 + taken // _CHUNK))):
        taken += len(chunk)
        yield chunk
