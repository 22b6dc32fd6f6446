import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smidgen.data import Dataset, MemoryPicture, Split, SplitName, split, survey
from smidgen.spec import DataError


def dataset_of(pairs: Sequence[tuple[int, int]], given_split: Sequence[str] | None = None) -> Dataset:
    """Grey 1 x 2 pictures, one for each (value, label)."""
    pictures = tuple(
        MemoryPicture(f"{index}", label, np.array([[value // 256, value % 256]], np.uint8))
        for index, (value, label) in enumerate(pairs)
    )
    classes = tuple(f"c{label}" for label in range(max(label for _, label in pairs) + 1))
    parts = None if given_split is None else cast("tuple[SplitName, ...]", tuple(given_split))
    return Dataset("test", "a test", classes, pictures, parts)


def cut(dataset: Dataset, seed: int = 0, val: float = 0.15, test: float = 0.15) -> Split:
    return split(dataset, survey(dataset), seed, val, test)


def parts_of(result: Split, count: int) -> list[str]:
    """Name of the part of each picture."""
    names = [""] * count
    for part in ("train", "val", "test", "left_out"):
        for index in getattr(result, part):
            assert not names[index], "a picture in two parts"
            names[index] = part
    return names


CLASSES = [(value, value % 4) for value in range(400)]

many = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=20, max_size=60)


@settings(deadline=None)
@given(many, st.integers(0, 3))
def test_identical_pictures_are_always_in_the_same_part(pairs: list[tuple[int, int]], seed: int) -> None:
    try:
        result = cut(dataset_of(pairs), seed)
    except DataError:
        assume(False)
    part_of: dict[int, str] = {}
    for (value, _), part in zip(pairs, parts_of(result, len(pairs)), strict=True):
        assert part_of.setdefault(value, part) == part


@settings(deadline=None)
@given(many, st.integers(0, 3))
def test_every_picture_is_in_exactly_one_part(pairs: list[tuple[int, int]], seed: int) -> None:
    try:
        result = cut(dataset_of(pairs), seed)
    except DataError:
        assume(False)
    assert sorted(result.train + result.val + result.test) == list(range(len(pairs)))
    assert result.left_out == ()


@settings(deadline=None)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=4), st.integers(0, 5))
def test_each_part_has_each_class_of_three_or_more(sizes: list[int], seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    result = cut(dataset_of(list(enumerate(labels))), seed)
    for part in (result.train, result.val, result.test):
        assert {labels[index] for index in part} == set(range(len(sizes)))


@settings(deadline=None)
@given(st.lists(st.integers(20, 90), min_size=2, max_size=3), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_shares_are_kept_within_each_class_to_one_picture(sizes: list[int], val: float, test: float) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    result = cut(dataset_of(list(enumerate(labels))), 1, val, test)
    for part, share in ((result.val, val), (result.test, test)):
        counts = Counter(labels[index] for index in part)
        for label, size in enumerate(sizes):
            assert abs(counts[label] - share * size) < 1


def test_names_and_order_do_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(CLASSES)).tolist()
    first = parts_of(cut(dataset_of(CLASSES)), len(CLASSES))
    second = parts_of(cut(dataset_of([CLASSES[index] for index in order])), len(CLASSES))
    assert [first[index] for index in order] == second


def test_a_new_picture_moves_few_others() -> None:
    before = parts_of(cut(dataset_of(CLASSES)), len(CLASSES))
    after = parts_of(cut(dataset_of([*CLASSES, (999, 0)])), len(CLASSES) + 1)
    assert sum(map(str.__ne__, before, after)) <= 2


def test_another_seed_is_another_split() -> None:
    assert cut(dataset_of(CLASSES), 0).test != cut(dataset_of(CLASSES), 1).test


def test_the_split_of_a_seed_never_changes() -> None:
    # The rule written out again: the first of each class by SHA-256 of "seed:pixel hash" are the test part.
    dataset = dataset_of(CLASSES)
    hashes = [hashlib.sha256(b"1x2x1:" + bytes(divmod(value, 256))).hexdigest() for value, _ in CLASSES]
    expected = []
    for label in range(4):
        own = [index for index, (_, other) in enumerate(CLASSES) if other == label]
        own.sort(key=lambda index: hashlib.sha256(f"7:{hashes[index]}".encode()).digest())
        expected += own[:15]
    assert cut(dataset, 7).test == tuple(sorted(expected))


def test_no_share_means_no_part() -> None:
    result = cut(dataset_of(CLASSES), val=0, test=0.25)
    assert result.val == ()
    assert len(result.test) == 100
    assert len(cut(dataset_of(CLASSES), val=0, test=0).train) == 400


def test_a_class_too_small_to_share_goes_to_train() -> None:
    pairs = [*CLASSES, (900, 4), (901, 4), (902, 5), (902, 5), (902, 5), (903, 5)]
    parts = parts_of(cut(dataset_of(pairs)), len(pairs))
    assert set(parts[400:]) == {"train"}


def test_a_large_group_of_copies_takes_no_part_s_last_place() -> None:
    pairs = [(0, 0)] * 50 + [(1, 0), (2, 0)] + [(value, 1) for value in range(100, 120)]
    for seed in range(6):
        parts = parts_of(cut(dataset_of(pairs), seed), len(pairs))
        assert sorted({parts[0], parts[50], parts[51]}) == ["test", "train", "val"]


def test_unreadable_pictures_take_no_part() -> None:
    dataset = dataset_of(CLASSES)
    seen = survey(dataset)
    broken = replace(seen, decoded=(None, *seen.decoded[1:]))
    result = split(dataset, broken, 0)
    assert 0 not in result.train + result.val + result.test + result.left_out


# -- a split that the data brings ---------------------------------------------------------------------


def test_a_given_split_is_kept() -> None:
    pairs = [(value, value % 2) for value in range(12)]
    given_split = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    assert parts_of(cut(dataset_of(pairs, given_split)), 12) == given_split


@pytest.mark.parametrize("missing", ["val", "test"])
def test_a_missing_part_is_taken_out_of_train(missing: str) -> None:
    present = "test" if missing == "val" else "val"
    pairs = [(value, value % 2) for value in range(240)]
    given_split = ["train"] * 200 + [present] * 40
    result = cut(dataset_of(pairs, given_split), val=0.1, test=0.1)
    assert set(getattr(result, present)) == set(range(200, 240))
    assert len(getattr(result, missing)) == 20
    assert set(getattr(result, missing)) <= set(range(200))
    assert len(result.train) == 180


def test_copies_leave_the_part_of_least_precedence() -> None:
    pairs = [(0, 0), (1, 1), (2, 0), (3, 1), (0, 0), (4, 1), (1, 1), (0, 0)]
    given_split = ["train", "train", "train", "train", "test", "test", "val", "val"]
    result = cut(dataset_of(pairs, given_split))
    assert result == Split(train=(2, 3), val=(6,), test=(4, 5), left_out=(0, 1, 7))


# -- what cannot be split -----------------------------------------------------------------------------


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0), (float("nan"), 0.1)])
def test_senseless_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(DataError, match="shares are at least 0 and below 1 together"):
        cut(dataset_of(CLASSES), val=val, test=test)


def test_a_class_with_nothing_left_to_train_on_is_named() -> None:
    dataset = dataset_of([*CLASSES, (999, 4)])
    seen = survey(dataset)
    unreadable = replace(seen, decoded=(*seen.decoded[:-1], None))
    with pytest.raises(DataError, match="class c4: no picture to train on") as caught:
        split(dataset, unreadable, 0)
    assert "\n" not in str(caught.value)


def test_data_too_small_for_any_part_is_refused() -> None:
    with pytest.raises(DataError, match="no pictures for test: no class has enough different ones"):
        cut(dataset_of([(0, 0), (1, 0), (2, 1), (3, 1)]))


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_given_part_with_nothing_left_is_refused(part: str) -> None:
    # A validation part that is a copy of the test part, and a test part whose every picture is broken.
    pairs = [(value, value % 2) for value in range(12)] + [(100, 0), (101, 1), (100, 0), (101, 1)]
    dataset = dataset_of(pairs, ["train"] * 12 + ["test"] * 2 + ["val"] * 2)
    seen = survey(dataset)
    if part == "test":
        seen = replace(seen, decoded=(*seen.decoded[:12], None, None, *seen.decoded[14:]))
    with pytest.raises(DataError, match=f"no pictures for {part}: all that test puts there") as caught:
        split(dataset, seen, 0)
    assert "\n" not in str(caught.value)


# -- how much is held back ----------------------------------------------------------------------------


def test_of_large_sets_five_thousand_pictures_are_held_back() -> None:
    dataset = dataset_of([(value, value % 2) for value in range(40_000)])
    result = split(dataset, survey(dataset), 0)
    assert (len(result.val), len(result.test)) == (5_000, 5_000)


def test_of_a_given_train_part_five_thousand_pictures_become_val() -> None:
    pairs = [(value, value % 2) for value in range(42_000)]
    dataset = dataset_of(pairs, ["train"] * 40_000 + ["test"] * 2_000)
    result = split(dataset, survey(dataset), 0)
    assert (len(result.train), len(result.val), len(result.test)) == (35_000, 5_000, 2_000)


def test_of_other_sets_fifteen_percent_of_each_class_are_held_back() -> None:
    dataset = dataset_of(CLASSES)
    assert split(dataset, survey(dataset), 0) == cut(dataset, 0, val=0.15, test=0.15)


# -- groups -------------------------------------------------------------------------------------------


def grouped(
    pairs: Sequence[tuple[int, int]], groups: Sequence[str], given: Sequence[str] | None = None
) -> Dataset:
    return replace(dataset_of(pairs, given), groups=tuple(groups))


members = st.tuples(st.integers(0, 40), st.integers(0, 2), st.sampled_from(["", *"abcdefghijkl"]))


@settings(deadline=None)
@given(st.lists(members, min_size=20, max_size=80), st.integers(0, 3))
def test_neither_groups_nor_copies_are_torn_apart(rows: list[tuple[int, int, str]], seed: int) -> None:
    pairs, groups = [(value, label) for value, label, _ in rows], [group for _, _, group in rows]
    try:
        result = cut(grouped(pairs, groups), seed)
    except DataError:
        assume(False)
    assert sorted(result.train + result.val + result.test) == list(range(len(rows)))
    parts = parts_of(result, len(rows))
    part_of: dict[str, str] = {}
    for (value, _, group), part in zip(rows, parts, strict=True):
        assert part_of.setdefault(f"value {value}", part) == part
        assert not group or part_of.setdefault(f"group {group}", part) == part


def test_copies_tie_their_groups_together() -> None:
    pairs = [(value, value % 2) for value in range(60)] + [(0, 0), (1, 1)]
    groups = [f"g{value // 4}" for value in range(60)] + ["g7", "g9"]
    for seed in range(4):
        parts = parts_of(cut(grouped(pairs, groups), seed), len(pairs))
        assert (
            len({part for part, group in zip(parts, groups, strict=True) if group in ("g0", "g7", "g9")}) == 1
        )


def test_a_rare_class_inside_the_groups_of_another_reaches_every_part() -> None:
    rng = np.random.default_rng(5)
    groups: list[str] = []
    pairs: list[tuple[int, int]] = []
    for group in range(60):
        for _ in range(int(rng.integers(4, 12))):
            pairs.append((len(pairs), 0 if len(pairs) % 3 else 1))
            groups.append(f"g{group}")
        if group % 10 == 0:
            pairs.append((len(pairs), 2))
            groups.append(f"g{group}")
    for seed in range(5):
        result = cut(grouped(pairs, groups), seed)
        for part in (result.train, result.val, result.test):
            assert {pairs[index][1] for index in part} == {0, 1, 2}
        assert 0.1 < len(result.test) / len(pairs) < 0.2
        assert 0.1 < len(result.val) / len(pairs) < 0.2


def test_a_class_inside_one_group_of_another_goes_to_train() -> None:
    pairs = [(value, 0) for value in range(30)] + [(value, 1) for value in range(30, 130)]
    groups = [f"person {value // 10}" for value in range(30)] + ["person 0"] * 100
    for seed in range(12):
        result = cut(grouped(pairs, groups), seed)
        assert {*range(10), *range(30, 130)} <= set(result.train)
        assert result.val
        assert result.test


def test_file_names_and_order_do_not_matter_to_groups_either() -> None:
    groups = [f"g{value % 37}" for value, _ in CLASSES]
    order = np.random.default_rng(0).permutation(len(CLASSES)).tolist()
    first = parts_of(cut(grouped(CLASSES, groups)), len(CLASSES))
    shuffled = grouped([CLASSES[index] for index in order], [groups[index] for index in order])
    assert [first[index] for index in order] == parts_of(cut(shuffled), len(CLASSES))


def test_a_group_in_two_given_parts_is_refused_by_name() -> None:
    pairs = [(value, value % 2) for value in range(8)]
    given_split = ["train"] * 6 + ["test"] * 2
    groups = ["a", "a", "b", "b", "", "c", "c", "a"]
    with pytest.raises(DataError) as caught:
        cut(grouped(pairs, groups, given_split))
    assert str(caught.value) == (
        "test: group 'c' stands in train and test (5, 6), and so do 1 more; "
        "put each group into one part, or all into no part"
    )


def test_val_is_taken_out_of_a_given_train_by_groups() -> None:
    pairs = [(value, value % 2) for value in range(240)]
    groups = [f"g{value // 5}" for value in range(200)] + ["t"] * 40
    result = cut(grouped(pairs, groups, ["train"] * 200 + ["test"] * 40))
    assert set(result.test) == set(range(200, 240))
    assert result.val
    assert not {groups[index] for index in result.val} & {groups[index] for index in result.train}


def test_too_few_groups_are_refused() -> None:
    pairs = [(value, value % 2) for value in range(20)]
    with pytest.raises(DataError, match="no class has enough groups to share; add groups"):
        cut(grouped(pairs, ["a"] * 10 + ["b"] * 10))
