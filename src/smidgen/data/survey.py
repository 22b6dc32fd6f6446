"""What is really in a data set: every picture decoded once, and what can be said afterwards."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from smidgen.data.dataset import Dataset, Picture
from smidgen.data.parallel import Progress, map_threads
from smidgen.images import Pixels, drop_equal_channels
from smidgen.spec import DataError, PictureError

__all__ = ["Decoded", "Survey", "Unreadable", "clashes", "fingerprint", "require_readable", "survey"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one picture turned out to be.

    sha256    of its size, channels and decoded pixels: equal for pictures that look equal, however stored
    channels  1 when all three colours agree everywhere, otherwise 3
    """

    sha256: str
    height: int
    width: int
    channels: int


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
    """

    decoded: tuple[Decoded | None, ...]
    unreadable: tuple[Unreadable, ...]

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
    results = map_threads(_examine, dataset.pictures, progress)
    unreadable = tuple(
        Unreadable(index, dataset.pictures[index].name, result)
        for index, result in enumerate(results)
        if isinstance(result, str)
    )
    return Survey(tuple(None if isinstance(result, str) else result for result in results), unreadable)


def _examine(picture: Picture) -> Decoded | str:
    try:
        pixels = drop_equal_channels(picture.read(3))
    except PictureError as error:
        return str(error)
    height, width, channels = pixels.shape
    return Decoded(_pixel_hash(pixels), height, width, channels)


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
