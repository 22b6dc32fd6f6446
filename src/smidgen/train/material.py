"""Data made ready for training: checked, split, and decoded at a network's size."""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smidgen.data import (
    Dataset,
    Split,
    Survey,
    clashes,
    fingerprint,
    load_pixels,
    near_identical,
    open_dataset,
    passed_over_news,
    require_readable,
    split,
    survey,
    unreadable_news,
)
from smidgen.data.parallel import Progress
from smidgen.families import default_preprocess
from smidgen.graph import Aspect, Network, Preprocess
from smidgen.spec import Shape, SmidgenError, counted
from smidgen.train.aspect import chosen_aspect, cut_away, news, own_side
from smidgen.train.pixels import Examples, spread, thinned
from smidgen.watch import Watch

__all__ = ["Material", "Part", "Reading", "part_of", "prepare"]

Part = Literal["train", "val", "test"]

LARGEST_DEFAULT = 96  # pixels; larger pictures are shrunk to this unless a resolution is asked for


@dataclass(frozen=True, slots=True)
class Reading:
    """How a data set is read.

    skip_bad  leave out pictures that cannot be read
    group_by  regular expression: pictures whose names match alike stay in one part
    """

    skip_bad: bool = False
    group_by: str | None = None


_WHOLE = Reading()


@dataclass(frozen=True, slots=True)
class Material:
    """A data set that can be trained on.

    data        as it was asked for: a folder, a CSV or the name of a set
    channels    1 where every picture is grey, else 3
    resolution  side of the square that networks will see
    decoded     train and val at the sizes that were asked for; the test part is never kept
    scratch     folder on a disk for decoded pictures that memory does not hold
    group_by    pattern by which pictures stay together in the split
    near_identical  pairs of pictures in two parts that are nearly the same
    """

    data: str
    dataset: Dataset
    survey: Survey
    split: Split
    seed: int
    channels: int
    resolution: int
    preprocess: Preprocess
    decoded: dict[object, Examples] = field(default_factory=dict, repr=False, compare=False)
    scratch: Path | None = field(default=None, repr=False, compare=False)
    group_by: str | None = None
    near_identical: int = 0

    @property
    def training(self) -> Examples | None:
        """The train part at the data's own size, once it has been decoded."""
        return self.decoded.get(("train", *_sampling(self.shape, self.preprocess)))

    @property
    def shape(self) -> Shape:
        """Input shape of the networks."""
        return Shape(self.channels, self.resolution, self.resolution)

    @property
    def cut_away(self) -> float:
        """Share of its area that the median training picture would lose in a crop to a square."""
        return cut_away(_sizes(self.survey, self.split))

    @property
    def fingerprint(self) -> str:
        """Hash of all usable pictures and their classes."""
        return fingerprint(self.dataset, self.survey)

    @property
    def arrangement(self) -> str:
        """Hash of which picture stands at which place of which part: all that a run's course depends on."""
        lines = []
        for part, indices in (
            ("train", self.split.train),
            ("val", self.split.val),
            ("test", self.split.test),
        ):
            for index in indices:
                decoded = self.survey.decoded[index]
                assert decoded is not None, "an unreadable picture takes no part"
                lines.append(f"{part} {decoded.sha256} {self.dataset.pictures[index].label}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def test_fingerprint(self) -> str:
        """Hash of the test part alone."""
        return fingerprint(self.dataset, self.survey, set(self.split.test))

    def fitted(self, network: Network) -> Network:
        """The network with this data's preprocessing, at its own resolution, and class names."""
        preprocess = dataclasses.replace(self.preprocess, resize=network.input.height)
        return dataclasses.replace(network, preprocess=preprocess, classes=self.dataset.classes)

    def some(self, part: Part, most: int, network: Network) -> Examples:
        """So many of the pictures of one part at most, evenly spread; what is decoded for it is not kept."""
        indices = part_of(self.split, part)
        if len(indices) <= most or (part, *_sampling(network.input, network.preprocess)) in self.decoded:
            return thinned(self.pixels(part, Watch(), network), most)
        few = tuple(indices[place] for place in spread(len(indices), most))
        return self._decoded(few, network.input, network.preprocess)

    def pixels(self, part: Part, watch: Watch, network: Network | None = None) -> Examples:
        """Decoded pictures and labels of one part, at the size of the network; default: the data's own."""
        shape, preprocess = (
            (self.shape, self.preprocess) if network is None else (network.input, network.preprocess)
        )
        key = (part, *_sampling(shape, preprocess))
        if key in self.decoded:
            return self.decoded[key]
        indices = part_of(self.split, part)
        with watch.progress(f"decoding {part}") as report:
            pixels = self._decoded(indices, shape, preprocess, report)
        if part != "test":
            self.decoded[key] = pixels
        return pixels

    def _decoded(
        self, indices: Sequence[int], shape: Shape, preprocess: Preprocess, progress: Progress | None = None
    ) -> Examples:
        """Pictures and labels of these places, decoded now."""
        pictures = load_pixels(
            self.dataset,
            indices,
            shape,
            preprocess,
            progress,
            kept=self.survey.kept,
            scratch=self.scratch,
        )
        labels = np.array([self.dataset.pictures[index].label for index in indices], np.int64)
        return Examples(pictures, labels)


def prepare(
    data: str,
    *,
    resolution: int | None = None,
    aspect: Aspect | None = None,
    seed: int = 0,
    reading: Reading = _WHOLE,
    scratch: Path | None = None,
    watch: Watch,
) -> Material:
    """Open, check and split a data set; DATA is a folder, a CSV or the name of a set.

    resolution  default: the pictures' own median size, up to LARGEST_DEFAULT
    aspect      how pictures become squares; default: by the training pictures, as `chosen_aspect` says
    scratch     folder on a disk for what memory does not hold; default: such data are refused
    Raises      DataError, in one line, on anything that cannot be trained on; SmidgenError on a number
                that is out of range.
    """
    _check_numbers(resolution, seed)
    dataset = open_dataset(data, group_by=reading.group_by)
    for line in passed_over_news(dataset):
        watch.say(line)
    with watch.progress("checking pictures") as report:
        found = survey(dataset, report)
    require_readable(found, reading.skip_bad)
    for line in unreadable_news(dataset, found):
        watch.say(line)
    for group in clashes(dataset, found):
        names = " and ".join(dataset.pictures[index].name for index in group[:2])
        watch.say(f"the same picture in two classes: {names}")
    parts = split(dataset, found, seed)
    if parts.left_out:
        assert dataset.given_split is not None, "only a given split tears copies apart"
        counts = Counter(dataset.given_split[index] for index in parts.left_out)
        told = ", ".join(f"{count:,} of {part}" for part, count in counts.items())
        watch.say(f"left out, for copies of them stand in another part: {told}")
    near = sum(pair.parts for pair in near_identical(dataset, found, parts))
    if near:
        told = counted(near, "pair")
        watch.say(f"nearly identical pictures in two parts: {told}; `smidgen check` lists them")
    how = aspect or _chosen(found, parts, watch)
    side = _own_size(found, how) if resolution is None else resolution
    channels = found.channels
    plain = Preprocess(side, "bilinear", (0.0,) * channels, (1.0,) * channels, how)
    material = Material(data, dataset, found, parts, seed, channels, side, plain, scratch=scratch)
    preprocess = _standardised(material, watch)
    return dataclasses.replace(
        material, preprocess=preprocess, group_by=reading.group_by, near_identical=near
    )


def _chosen(found: Survey, parts: Split, watch: Watch) -> Aspect:
    """What becomes of the pictures' sides, told where it is not the usual."""
    sizes = _sizes(found, parts)
    aspect = chosen_aspect(sizes)
    if told := news(aspect, cut_away(sizes)):
        watch.say(told)
    return aspect


def _sizes(found: Survey, parts: Split) -> list[tuple[int, int]]:
    """Height and width of the training pictures."""
    pictures = (found.decoded[index] for index in parts.train)
    return [(picture.height, picture.width) for picture in pictures if picture]


def _check_numbers(resolution: int | None, seed: int) -> None:
    for name, value, low, high in (("resolution", resolution, 1, 16_384), ("seed", seed, 0, 2**63 - 1)):
        if value is not None and not low <= value <= high:
            raise SmidgenError(f"{name}={value} is outside {low}..{high}")


def part_of(parts: Split, part: Part) -> tuple[int, ...]:
    """Indices of one part."""
    return {"train": parts.train, "val": parts.val, "test": parts.test}[part]


def _own_size(found: Survey, aspect: Aspect) -> int:
    sides = [own_side(picture.height, picture.width, aspect) for picture in found.decoded if picture]
    return max(4, min(LARGEST_DEFAULT, round(statistics.median(sides))))


def _histogram(channel: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of the 256 values stands there, counted in blocks: no copy of all pictures is made."""
    blocks = (channel[start : start + 1024] for start in range(0, len(channel), 1024))
    counts: NDArray[np.int64] = np.zeros(256, np.int64)
    for block in blocks:
        counts += np.bincount(block.ravel(), minlength=256)
    return counts


def _sampling(shape: Shape, preprocess: Preprocess) -> tuple[object, ...]:
    """All that decides how a picture is decoded; mean and deviation come later, but pads have a colour."""
    fill = preprocess.fill if preprocess.aspect == "pad" else None
    return shape, preprocess.resize, preprocess.interpolation, preprocess.aspect, fill


def _standardised(material: Material, watch: Watch) -> Preprocess:
    """Preprocessing with mean and deviation of the training pictures, to four decimals.

    Mean and deviation do not touch the decoded pixels, so these serve the training as they are. Pads do have
    the mean's colour: then it is found in the pictures alone, squashed, which are decoded for it.
    """
    plain = material.preprocess
    if plain.aspect == "pad":
        squashed = dataclasses.replace(plain, aspect="squash")
        apart = dataclasses.replace(material, preprocess=squashed, decoded={})
        return dataclasses.replace(_standardised(apart, watch), aspect="pad")
    pictures = material.pixels("train", watch).pictures
    counts = np.stack([_histogram(pictures[..., channel]) for channel in range(pictures.shape[3])])
    levels, share = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = share @ levels
    std = np.sqrt(np.maximum(0, share @ levels**2 - mean**2))
    if std.min() < 0.001:  # blank pictures: their deviation would blow up what little they hold
        usual = default_preprocess(material.channels, material.resolution)
        return dataclasses.replace(usual, aspect=plain.aspect)
    return dataclasses.replace(
        plain,
        mean=tuple(round(float(value), 4) for value in mean),
        std=tuple(round(float(value), 4) for value in std),
    )
