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

# What is held back where nobody says how much: a share, of large sets at most so many pictures. 5,000 of
# them pin an accuracy of 90 % to within 0.8 points (95 % interval); more would only be missing in train.
_SHARE = 0.15
_MOST_HELD_BACK = 5_000

# Where copies of one picture stand in several given parts, the first of these keeps its own.
_PRECEDENCE: tuple[SplitName, ...] = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the pictures in each part, sorted.

    left_out  usable pictures in no part, because the data's own split puts a copy into another one
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """Pictures with the same pixels, or of the same group: what a split must not tear apart."""

    label: int
    order: bytes
    indices: tuple[int, ...]


def split(
    dataset: Dataset, survey: Survey, seed: int, val: float | None = None, test: float | None = None
) -> Split:
    """Share out the readable pictures, class by class.

    Within a class pictures are ordered by SHA-256 of the seed and the hash of their decoded pixels; the
    first go to test, the next to val, the rest to train. So file names and order do not matter, a new
    picture moves few others, and identical pictures stay together, in two classes too. Each part gets
    at least one picture of a class that has enough different ones; of smaller classes all go to train.

    Where the data set has groups, pictures that are identical or of one group, and what hangs together
    through several of these, stay together; the shares are then met as nearly as the groups allow.

    A split that the data brings is kept; a part that it lacks is taken out of its train. Copies of its
    test pictures are left out of its train and val, copies of its val pictures out of its train; a group
    that stands in two of its parts is refused.

    val, test  shares of each class, from 0 to less than 1 together; default: 15 %, of more than 33,333
               pictures as much as makes 5,000 of them
    Raises     DataError when a share is senseless, when a class has nothing left to train on, when no
               class is large enough for val or test, when nothing of a given part is left, or when a given
               split tears a group apart.
    """
    _require_whole_groups(dataset, survey)
    parts = _given_parts(dataset, survey)
    default = min(_SHARE, _MOST_HELD_BACK / max(1, len(parts["train"])))
    shares: dict[SplitName, float] = {
        "test": default if test is None else test,
        "val": default if val is None else val,
    }
    if not (min(shares.values()) >= 0 and sum(shares.values()) < 1):
        asked = f"val={shares['val']:g} and test={shares['test']:g}"
        raise DataError(f"{asked}: shares are at least 0 and below 1 together")
    wanted = {part: share for part, share in shares.items() if part not in parts and share > 0}
    units = _units(dataset, survey, parts["train"], seed)
    cut = _cut_by_class(dataset, units, wanted) if dataset.groups is None else _deal(dataset, units, wanted)
    parts |= {part: [index for unit in cut[part] for index in unit.indices] for part in ("train", *wanted)}
    _require_training(dataset, parts["train"])
    _require_parts(dataset, parts, wanted)
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


def _require_whole_groups(dataset: Dataset, survey: Survey) -> None:
    """Refuse a given split that puts pictures of one group into two parts."""
    if dataset.groups is None or dataset.given_split is None:
        return
    first: dict[str, int] = {}
    torn: dict[str, str] = {}
    for index in _usable(dataset, survey):
        group, part = dataset.groups[index], dataset.given_split[index]
        earlier = first.setdefault(group, index)
        if group and part != dataset.given_split[earlier] and group not in torn:
            here, there = dataset.pictures[earlier].name, dataset.pictures[index].name
            torn[group] = (
                f"group '{group}' stands in {dataset.given_split[earlier]} and {part} ({here}, {there})"
            )
    if torn:
        more = f", and so do {len(torn) - 1:,} more" if len(torn) > 1 else ""
        line = next(iter(torn.values()))
        raise DataError(f"{dataset.name}: {line}{more}; put each group into one part, or all into no part")


def _units(dataset: Dataset, survey: Survey, indices: Sequence[int], seed: int) -> list[_Unit]:
    """What stays together, in the order of the seed; the label of a mixed unit is its commonest."""
    units = []
    for members in _together(dataset, survey, indices):
        counts = Counter(dataset.pictures[index].label for index in members)
        label = min(counts, key=lambda label: (-counts[label], label))
        pixels = min(_pixels(survey, index) for index in members)
        order = hashlib.sha256(f"{seed}:{pixels}".encode()).digest()
        units.append(_Unit(label, order, tuple(members)))
    return sorted(units, key=lambda unit: unit.order)


def _together(dataset: Dataset, survey: Survey, indices: Sequence[int]) -> Iterable[list[int]]:
    """Connected components of pictures with the same pixels or of the same group."""
    parent = {index: index for index in indices}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    first: dict[tuple[str, str], int] = {}
    for index in indices:
        ties = [("pixels", _pixels(survey, index))]
        if dataset.groups is not None and dataset.groups[index]:
            ties.append(("group", dataset.groups[index]))
        for tie in ties:
            parent[root(index)] = root(first.setdefault(tie, index))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index in indices:
        members[root(index)].append(index)
    return members.values()


def _cut_by_class(
    dataset: Dataset, units: Iterable[_Unit], shares: Mapping[SplitName, float]
) -> dict[SplitName, list[_Unit]]:
    """Each class cut for itself."""
    by_class: list[list[_Unit]] = [[] for _ in dataset.classes]
    for unit in units:
        by_class[unit.label].append(unit)
    result: dict[SplitName, list[_Unit]] = {part: [] for part in ("train", *shares)}
    for own in by_class:
        for part, some in _cut(own, shares).items():
            result[part] += some
    return result


def _deal(
    dataset: Dataset, units: Sequence[_Unit], shares: Mapping[SplitName, float]
) -> dict[SplitName, list[_Unit]]:
    """Deal out units that may hold several classes: the rarest class first, each where it lacks most.

    Source   iterative stratification, Sechidis, Tsoumakas and Vlahavas 2011, section 3.2; a unit here is
             what an example with several labels is there. Its ties are broken by the order of the seed.
    """
    held = [Counter(dataset.pictures[index].label for index in unit.indices) for unit in units]
    total = sum(held, Counter[int]())
    where: defaultdict[int, list[int]] = defaultdict(list)
    for number, counts in enumerate(held):
        for label in counts:
            where[label].append(number)
    all_shares: dict[SplitName, float] = {"train": 1 - sum(shares.values()), **shares}
    lacks = {part: {label: share * total[label] for label in total} for part, share in all_shares.items()}
    result: dict[SplitName, list[_Unit]] = {part: [] for part in all_shares}
    has: dict[SplitName, set[int]] = {part: set() for part in all_shares}
    open_ = set(range(len(units)))
    enough_of = {label: len(where[label]) >= len(all_shares) for label in total}
    # Classes with too few units for all parts come first: all of theirs go to train, whatever else they hold.
    for label in sorted(total, key=lambda label: (enough_of[label], total[label], label)):
        own = [number for number in where[label] if number in open_]
        enough = enough_of[label]
        for left, number in zip(range(len(own), 0, -1), own, strict=True):
            empty = [part for part in all_shares if label not in has[part]]
            parts = empty if enough and left <= len(empty) else list(all_shares)
            if not enough:
                parts = ["train"]
            part = max(parts, key=lambda part: (lacks[part][label], sum(lacks[part].values())))
            result[part].append(units[number])
            has[part].update(held[number])
            open_.remove(number)
            for other, count in held[number].items():
                lacks[part][other] -= count
    return result


def _cut(units: Sequence[_Unit], shares: Mapping[SplitName, float]) -> dict[SplitName, Sequence[_Unit]]:
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
            why = "all are unreadable, or went elsewhere with their copies or groups"
            raise DataError(f"class {name}: no picture to train on ({why}); add some or remove the class")


def _require_parts(
    dataset: Dataset, parts: Mapping[SplitName, Sequence[int]], wanted: Iterable[SplitName]
) -> None:
    what, more = ("different ones", "pictures") if dataset.groups is None else ("groups", "groups")
    for part, indices in parts.items():
        if indices:
            continue
        if part in wanted:
            raise DataError(
                f"no pictures for {part}: no class has enough {what} to share; add {more}, "
                "3 or more for each class"
            )
        raise DataError(
            f"no pictures for {part}: all that {dataset.name} puts there are unreadable, of no known class "
            f"or copies of test pictures; add others, or take {part} away to have it cut from train"
        )
