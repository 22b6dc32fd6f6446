"""Pictures that are nearly the same: the same photograph saved, shrunk or brightened once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.data.dataset import Dataset
from smidgen.data.split import Split
from smidgen.data.survey import LOOK_SIDE, Survey

__all__ = ["Near", "near_identical"]

# Greatest distance of two looks that count as nearly the same; a look here is 8 x 8 greys less their mean,
# as a vector of length 1. Half of all pictures saved again as JPEG at quality 75 lie within 0.014, at other
# sizes within 0.016; of 70,000 articles in Fashion-MNIST fewer than 1 in 100 has such a neighbour.
_NEAR = 0.04

# Pictures whose greys deviate less than this from their mean are blank: rounding decides how they look.
_BLANK = 2.0

# Each round sorts all pictures by a fresh 64-bit hash and compares each with those that follow it.
_ROUNDS = 8
_FOLLOWING = 8
_BITS = 64


class Near(NamedTuple):
    """Two pictures that are nearly the same, as indices; `classes` and `parts`: whether these differ."""

    first: int
    second: int
    classes: bool
    parts: bool


def near_identical(dataset: Dataset, survey: Survey, parts: Split | None = None) -> tuple[Near, ...]:
    """Pairs of nearly identical pictures in different parts or different classes, the nearest first.

    Pictures with the very same pixels are not among them: `Survey.identical` has those. The search takes
    time and memory in proportion to the pictures, and so may miss a pair among very many alike.

    parts    whose parts count; default: the split that the data brings
    Source   hashes by random hyperplanes, Charikar 2002, doi:10.1145/509907.509965
    """
    indices, looks = _looks(dataset, survey)
    pairs = _pairs(looks)
    first, second = indices[pairs[:, 0]], indices[pairs[:, 1]]
    labels = np.array([picture.label for picture in dataset.pictures], np.int64)
    part = _part_numbers(dataset, parts)
    classes = labels[first] != labels[second]
    across = (part[first] != part[second]) & (part[first] >= 0) & (part[second] >= 0)
    found = []
    for row in np.flatnonzero(classes | across).tolist():
        one, other = survey.decoded[first[row]], survey.decoded[second[row]]
        if one and other and one.sha256 != other.sha256:
            found.append(Near(int(first[row]), int(second[row]), bool(classes[row]), bool(across[row])))
    return tuple(found)


def _looks(dataset: Dataset, survey: Survey) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices of the labelled pictures that are not blank, and their looks as unit vectors."""
    chosen = [
        (index, decoded.look)
        for index, (picture, decoded) in enumerate(zip(dataset.pictures, survey.decoded, strict=True))
        if decoded and picture.label >= 0
    ]
    indices = np.array([index for index, _ in chosen], np.int64)
    greys = np.frombuffer(b"".join(look for _, look in chosen), np.uint8).reshape(-1, LOOK_SIDE**2)
    looks = greys.astype(np.float32)
    looks -= looks.mean(1, keepdims=True)
    lengths = np.linalg.norm(looks, axis=1)
    shown = lengths > _BLANK * LOOK_SIDE
    return indices[shown], looks[shown] / lengths[shown, None]


def _pairs(looks: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows (first, second) of near looks, the nearest first."""
    empty = np.empty((0, 2), np.int64)
    found = np.unique(np.concatenate([empty, *_candidates(looks)]), axis=0)
    return found[np.argsort(_squared(looks, found[:, 0], found[:, 1]), kind="stable")]


def _candidates(looks: NDArray[np.float32]) -> Iterator[NDArray[np.int64]]:
    random = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        planes = random.standard_normal((looks.shape[1], _BITS)).astype(np.float32)
        hashes = np.packbits(looks @ planes > 0, axis=1).view(np.uint64)[:, 0].byteswap()
        order = np.argsort(hashes, kind="stable")
        for step in range(1, _FOLLOWING + 1):
            one, other = order[:-step], order[step:]
            near = _squared(looks, one, other) <= _NEAR**2
            yield np.sort(np.stack([one[near], other[near]], axis=1), axis=1)


def _squared(
    looks: NDArray[np.float32], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Squared distances, a block at a time so that memory stays small."""
    distances = np.empty(len(one), np.float32)
    for start in range(0, len(one), 2**16):
        block = slice(start, start + 2**16)
        difference = looks[one[block]] - looks[other[block]]
        distances[block] = np.einsum("nk,nk->n", difference, difference)
    return distances


def _part_numbers(dataset: Dataset, parts: Split | None) -> NDArray[np.int64]:
    """A number for each picture's part, -1 for none."""
    numbers = np.full(len(dataset.pictures), -1, np.int64)
    if parts is not None:
        members: Sequence[Sequence[int]] = (parts.train, parts.val, parts.test)
        for number, indices in enumerate(members):
            numbers[list(indices)] = number
    elif dataset.given_split is not None:
        names = ("train", "val", "test")
        numbers[:] = [names.index(part) for part in dataset.given_split]
    return numbers
