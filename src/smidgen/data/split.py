"""Who sees which picture: a split that depends on the pixels and the seed, and on nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from smidgen.data.dataset import Dataset, SplitName
from smidgen.data.survey import Survey
from smidgen.spec import DataError

__all__ = ["Split", "split"]

# Where copies of one picture stand in several given parts, the first of these keeps its own.
_PRECEDENCE: tuple[SplitName, ...] = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the pictures in each part, sorted.

    left_out  usable pictures in no part, because the data's own split puts a copy into val or test
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """Pictures with the same pixels: what a split must not tear apart."""

    label: int
    order: bytes
    indices: tuple[int, ...]


def split(dataset: Dataset, survey: Survey, seed: int, val: float = 0.15, test: float = 0.15) -> Split:
    """Share out the readable pictures, class by class.

    Within a class pictures are ordered by SHA-256 of the seed and the hash of their decoded pixels; the
    first go to test, the next to val, the rest to train. So file names and order do not matter, a new
    picture moves few others, and identical pictures stay together, in two classes too. Each part gets
    at least one picture of a class that has enough different ones; of smaller classes all go to train.

    A split that the data brings is kept; a part that it lacks is taken out of its train. Copies of its
    val and test pictures are left out of its train.

    val, test  shares of each class, from 0 to less than 1 together
    Raises     DataError when a share is senseless, when a class has nothing left to train on, or when no
               class is large enough for val or test.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise DataError(f"val={val:g} and test={test:g}: shares are at least 0 and below 1 together")
    shares: dict[SplitName, float] = {"test": test, "val": val}
    parts = _given_parts(dataset, survey)
    wanted = {part: share for part, share in shares.items() if part not in parts and share > 0}
    cuts = [_cut(units, wanted) for units in _units_by_class(dataset, survey, parts["train"], seed)]
    for part in ("train", *wanted):
        parts[part] = [index for cut in cuts for unit in cut.get(part, ()) for index in unit.indices]
    _require_training(dataset, parts["train"])
    _require_parts(parts, wanted)
    left_out = set(_usable(dataset, survey)).difference(*parts.values())
    train, val_, test_ = (tuple(sorted(parts.get(part, ()))) for part in ("train", "val", "test"))
    return Split(train, val_, test_, tuple(sorted(left_out)))


def _usable(dataset: Dataset, survey: Survey) -> list[int]:
    pairs = zip(dataset.pictures, survey.decoded, strict=True)
    return [index for index, (picture, decoded) in enumerate(pairs) if decoded and picture.label >= 0]


def _given_parts(dataset: Dataset, survey: Survey) -> dict[SplitName, list[int]]:
    """Usable pictures by the part that the data gives them; without a given split all are in train."""
    given = dataset.given_split or ("train",) * len(dataset.pictures)
    parts: dict[SplitName, list[int]] = {part: [] for part in _PRECEDENCE if part in given or part == "train"}
    owner: dict[str, SplitName] = {}
    usable = _usable(dataset, survey)
    for part, indices in parts.items():
        for index in usable:
            if given[index] == part and owner.setdefault(_pixels(survey, index), part) == part:
                indices.append(index)
    return parts


def _pixels(survey: Survey, index: int) -> str:
    decoded = survey.decoded[index]
    assert decoded is not None, "an unreadable picture takes no part"
    return decoded.sha256


def _units_by_class(dataset: Dataset, survey: Survey, indices: Iterable[int], seed: int) -> list[list[_Unit]]:
    """Units of each class in their order; one that stands in several classes goes with the commonest."""
    same: defaultdict[str, list[int]] = defaultdict(list)
    for index in indices:
        same[_pixels(survey, index)].append(index)
    classes: defaultdict[int, list[_Unit]] = defaultdict(list)
    for pixels, group in same.items():
        counts = Counter(dataset.pictures[index].label for index in group)
        label = min(counts, key=lambda label: (-counts[label], label))
        order = hashlib.sha256(f"{seed}:{pixels}".encode()).digest()
        classes[label].append(_Unit(label, order, tuple(group)))
    return [sorted(classes[label], key=lambda unit: unit.order) for label in sorted(classes)]


def _cut(units: Sequence[_Unit], shares: dict[SplitName, float]) -> dict[SplitName, Sequence[_Unit]]:
    """Cut one class's units at the places where the parts come nearest to their shares."""
    if len(units) <= len(shares):
        return {"train": units}
    total = sum(len(unit.indices) for unit in units)
    result: dict[SplitName, Sequence[_Unit]] = {}
    start = 0
    for later, (part, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        end = _nearest(units, start, len(units) - later, share * total)
        result[part] = units[start:end]
        start = end
    return result | {"train": units[start:]}


def _nearest(units: Sequence[_Unit], start: int, last: int, pictures: float) -> int:
    """The end, in start + 1 … last, at which the units since start come nearest to so many pictures."""
    counts = accumulate(len(unit.indices) for unit in units[start:last])
    distances = [abs(count - pictures) for count in counts]
    return start + 1 + distances.index(min(distances))


def _require_training(dataset: Dataset, train: Iterable[int]) -> None:
    present = {dataset.pictures[index].label for index in train}
    for label, name in enumerate(dataset.classes):
        if label not in present:
            why = "all are unreadable, or stand in other classes or parts too"
            raise DataError(f"class {name}: no picture to train on ({why}); add some or remove the class")


def _require_parts(parts: Mapping[SplitName, Sequence[int]], wanted: Iterable[SplitName]) -> None:
    for part in wanted:
        if not parts[part]:
            raise DataError(
                f"no pictures for {part}: no class has enough different ones to share; add pictures, "
                "3 or more for each class"
            )
