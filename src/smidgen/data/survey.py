"""What is really in a data set: every picture decoded once, and what can be said afterwards."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from smidgen.data.dataset import Dataset, FilePicture, Picture
from smidgen.data.memory import pictures_limit
from smidgen.data.parallel import Progress, map_threads
from smidgen.images import Pixels, decode_plain, drop_equal_channels
from smidgen.spec import DataError, PictureError

__all__ = [
    "LOOK_SIDE",
    "Decoded",
    "Survey",
    "Unreadable",
    "clashes",
    "fingerprint",
    "require_readable",
    "survey",
    "unreadable_news",
]

# Side of the little grey picture by which near-identical pictures are found.
LOOK_SIDE = 8

# Files of at most so many pixels are kept decoded for `load_pixels`: reading them again costs far more
# than their memory. Photographs are left to be read twice.
_SMALL = 64 * 64

# Share of what decoded pictures may take that kept ones may take together.
_KEPT_SHARE = 1 / 4


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one picture turned out to be.

    sha256    of its size, channels and decoded pixels: equal for pictures that look equal, however stored
    channels  1 when all three colours agree everywhere, otherwise 3
    look      8 x 8 grey bytes, row by row: the picture seen from far away
    """

    sha256: str
    height: int
    width: int
    channels: int
    look: bytes = bytes(LOOK_SIDE * LOOK_SIDE)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that cannot be used; `reason` is one line that starts with its path."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All pictures of a data set, in its order.

    decoded     what each turned out to be, None for those in `unreadable`
    unreadable  those that cannot be used, with the reason
    kept        pixels of small files, uint8[H, W, 1 or 3] by index, which `load_pixels` then need not read
    """

    decoded: tuple[Decoded | None, ...]
    unreadable: tuple[Unreadable, ...]
    kept: Mapping[int, Pixels] = field(default_factory=dict, repr=False, compare=False)

    @property
    def channels(self) -> int:
        """1 when every readable picture is grey, otherwise 3."""
        return max((picture.channels for picture in self.decoded if picture), default=3)

    def identical(self) -> tuple[tuple[int, ...], ...]:
        """Groups of two or more pictures with the same pixels, as sorted indices."""
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, picture in enumerate(self.decoded):
            if picture:
                groups[picture.sha256].append(index)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def survey(dataset: Dataset, progress: Progress | None = None) -> Survey:
    """Decode every picture once, in as many threads as there are processors.

    Pictures that cannot be decoded are listed, not raised.
    """
    keep = _Keep(int(pictures_limit() * _KEPT_SHARE))

    def examine(index: int) -> Decoded | str:
        picture = dataset.pictures[index]
        try:
            pixels = _plain(picture)
        except PictureError as error:
            return str(error)
        if isinstance(picture, FilePicture):
            keep.offer(index, pixels)
        height, width, channels = pixels.shape
        return Decoded(_pixel_hash(pixels), height, width, channels, _look(pixels))

    results = map_threads(examine, range(len(dataset.pictures)), progress)
    unreadable = tuple(
        Unreadable(index, dataset.pictures[index].name, result)
        for index, result in enumerate(results)
        if isinstance(result, str)
    )
    decoded = tuple(None if isinstance(result, str) else result for result in results)
    return Survey(decoded, unreadable, keep.pixels)


class _Keep:
    """Small pictures up to so many bytes in all, offered from any thread."""

    def __init__(self, limit: int) -> None:
        self.pixels: dict[int, Pixels] = {}
        self._left = limit
        self._lock = threading.Lock()

    def offer(self, index: int, pixels: Pixels) -> None:
        height, width, _ = pixels.shape
        if height * width > _SMALL:
            return
        with self._lock:
            if pixels.nbytes <= self._left:
                self._left -= pixels.nbytes
                self.pixels[index] = np.ascontiguousarray(pixels)  # one channel of three would hold all three


def _plain(picture: Picture) -> Pixels:
    """Pixels with one channel where the picture is grey, otherwise three."""
    if isinstance(picture, FilePicture):
        return decode_plain(picture.path)
    return drop_equal_channels(picture.read(3))


def _look(pixels: Pixels) -> bytes:
    """The picture in 8 x 8 greys. The triangle filter makes it much the same at every size of the file."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if image.width > 4 * LOOK_SIDE * LOOK_SIDE and image.height > 4 * LOOK_SIDE * LOOK_SIDE:
        image = image.reduce(4)  # of large pictures nearly all the time would go into the filter
    grey = image if image.mode == "L" else image.convert("L")
    return grey.resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BILINEAR).tobytes()


def _pixel_hash(pixels: Pixels) -> str:
    digest = hashlib.sha256("{}x{}x{}:".format(*pixels.shape).encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def require_readable(survey: Survey, skip_bad: bool = False) -> None:
    """Go on only if every picture can be used, or if the caller asked to leave out those that cannot.

    Raises   DataError naming the first of them and how many there are.
    """
    bad, total = survey.unreadable, len(survey.decoded)
    if len(bad) == total:
        raise DataError(f"{bad[0].reason}; none of {total:,} pictures can be used" if bad else "no pictures")
    if bad and not skip_bad:
        what = "leaves it out" if len(bad) == 1 else "leaves them out"
        raise DataError(f"{bad[0].reason}; {len(bad):,} of {total:,} pictures unusable. --skip-bad {what}")


def unreadable_news(dataset: Dataset, survey: Survey) -> tuple[str, ...]:
    """Lines to say where unreadable pictures are left out: how many of each part, then each by name."""
    if not survey.unreadable:
        return ()
    total = f"left out: {len(survey.unreadable):,} of {len(survey.decoded):,} pictures cannot be read"
    if dataset.given_split is not None:
        sizes = Counter(dataset.given_split)
        bad = Counter(dataset.given_split[picture.index] for picture in survey.unreadable)
        total += "; " + ", ".join(
            f"{bad[part]:,} of {sizes[part]:,} in {part}" for part in sizes if bad[part]
        )
    return (total, *(f"left out: {bad.reason}" for bad in survey.unreadable))


def clashes(dataset: Dataset, survey: Survey) -> tuple[tuple[int, ...], ...]:
    """Groups of identical pictures that stand in more than one class, as sorted indices."""
    return tuple(
        group for group in survey.identical() if len({dataset.pictures[index].label for index in group}) > 1
    )


def fingerprint(dataset: Dataset, survey: Survey, indices: Collection[int] | None = None) -> str:
    """SHA-256 of what a network can learn from the data: the readable pictures' pixels with their classes.

    Names, places, order and storage of the files do not matter; copies count.
    indices  of the pictures that count; default: all
    """
    lines = sorted(
        f"{decoded.sha256} {dataset.classes[picture.label] if picture.label >= 0 else ''}\n"
        for index, (picture, decoded) in enumerate(zip(dataset.pictures, survey.decoded, strict=True))
        if decoded and (indices is None or index in indices)
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
