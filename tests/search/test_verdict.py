"""The paired bootstrap says what it may, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from smidgen.search import verdict
from smidgen.search.verdict import difference, winners


def answers(
    random: np.random.Generator, seeds: int, pictures: int, level: float, spread: float = 0.0
) -> NDArray[np.bool_]:
    """Answers whose accuracy differs from seed to seed by `spread`."""
    levels = level + spread * random.standard_normal((seeds, 1))
    return random.random((seeds, pictures)) < levels


def test_equal_answers_differ_by_nothing() -> None:
    right = answers(np.random.default_rng(0), 5, 100, 0.8)
    assert difference(right, right) == (0, 0, 0)
    assert difference(right, right).verdict == "no difference found"


def test_a_large_difference_is_found_in_both_directions() -> None:
    random = np.random.default_rng(0)
    good, bad = answers(random, 5, 1000, 0.9), answers(random, 5, 1000, 0.7)
    ahead, behind = difference(good, bad), difference(bad, good)
    assert (ahead.verdict, behind.verdict) == ("better", "worse")
    assert ahead.mean == pytest.approx(good.mean() - bad.mean())
    assert ahead.low < ahead.mean < ahead.high


def test_pairing_finds_what_levels_hide() -> None:
    """Seeds differ by ten points, the networks always by two: only pairs can tell."""
    random = np.random.default_rng(1)
    ranks = random.random((5, 2000))
    levels = 0.7 + 0.1 * random.standard_normal((5, 1))
    assert difference(ranks < levels + 0.02, ranks < levels).verdict == "better"


@pytest.mark.parametrize("seeds", [3, 5])
def test_two_equal_networks_are_told_apart_rarely(seeds: int) -> None:
    """Of 200 pairs without a difference, but with chance between seeds, about one in twenty may be found."""
    random, wrong, studies = np.random.default_rng(2), 0, 200
    for _ in range(studies):
        first, second = (answers(random, seeds, 60, 0.7, spread=0.08) for _ in range(2))
        wrong += difference(first, second).verdict != "no difference found"
    assert wrong <= 0.07 * studies


def test_table_is_students_t() -> None:
    assert tuple(round(float(t.ppf(0.975, df)), 3) for df in range(1, 21)) == verdict._T


def test_one_seed_knows_the_pictures_chance() -> None:
    """Against the binomial: 1,000 pictures, of which 100 more are right: ± 1.96 · sqrt(0.1 · 0.9 / n)."""
    right = np.zeros((1, 1000), bool)
    better = right.copy()
    better[0, :100] = True
    low, high = difference(better, right)[1:]
    reach = 1.96 * (0.1 * 0.9 / 1000) ** 0.5
    assert low == pytest.approx(0.1 - reach, abs=0.002)
    assert high == pytest.approx(0.1 + reach, abs=0.002)


def test_shares_of_winners_add_up_and_the_best_leads() -> None:
    random = np.random.default_rng(3)
    right = {name: answers(random, 5, 500, level) for name, level in (("a", 0.6), ("b", 0.9), ("c", 0.6))}
    shares = winners(right)
    assert next(iter(shares)) == "b"
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["b"] > 0.99


def test_equal_candidates_share_alike() -> None:
    right = answers(np.random.default_rng(4), 3, 50, 0.5)
    assert winners({"a": right, "b": right}) == {"a": 0.5, "b": 0.5}
