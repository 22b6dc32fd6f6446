import itertools
import math

import pytest

from smidgen.scaling import RULES, Rule, candidates, rule_named
from smidgen.scaling.tinynet import ROWS
from smidgen.spec import SmidgenError, UnknownNameError


def test_the_papers_rule_is_a_candidate() -> None:
    assert Rule(1.2, 1.1, 1.15) in candidates()


def test_candidates_are_all_of_the_lattice_that_meets_the_constraint_and_nothing_else() -> None:
    lattice = [(20 + i) / 20 for i in range(23)]  # 1 to 2.1
    expected = {
        (a, b, c)
        for a, b, c in itertools.product(lattice, repeat=3)
        if 1.9 - 1e-9 <= a * b * b * c * c <= 2.1 + 1e-9
    }
    found = [(rule.alpha, rule.beta, rule.gamma) for rule in candidates()]
    assert set(found) == expected
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("target", "step", "tolerance"), [(2.0, 0.1, 0.2), (1.5, 0.05, 0.05), (4, 0.25, 0.3)]
)
def test_candidates_meet_the_constraint_that_is_asked_for(
    target: float, step: float, tolerance: float
) -> None:
    rules = candidates(target, step, tolerance)
    assert rules
    for rule in rules:
        assert abs(rule.doubling - target) <= tolerance + 1e-9
        for factor in (rule.alpha, rule.beta, rule.gamma):
            assert factor >= 1
            assert (factor - 1) / step == pytest.approx(round((factor - 1) / step), abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"step": 0.0},
        {"step": 0.001},
        {"target": 0.5},
        {"target": math.nan},
        {"tolerance": -0.1},
        {"tolerance": 2},
    ],
)
def test_a_lattice_without_end_or_sense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(SmidgenError, match="needed are"):
        candidates(**arguments)


def test_the_single_axes_move_one_multiplier_and_double_the_multiply_adds() -> None:
    for name, axis in (("depth", 0), ("width", 1), ("resolution", 2)):
        for phi in (-3.0, 0.5, 2.0):
            factors = RULES[name].multipliers(phi)
            assert [factor for index, factor in enumerate(factors) if index != axis] == [1, 1]
            assert factors.depth * factors.width**2 * factors.resolution**2 == pytest.approx(2**phi)


# timm/models/efficientnet.py, tinynet_a to tinynet_e: width, depth, pixels
@pytest.mark.parametrize(
    ("width", "depth", "side"),
    [(1.0, 1.2, 192), (0.75, 1.1, 188), (0.54, 0.85, 184), (0.54, 0.695, 152), (0.51, 0.6, 106)],
)
def test_tinynets_rule_passes_through_the_released_networks(width: float, depth: float, side: int) -> None:
    phi = math.log2(width**2 * (side / 224) ** 2 * depth)
    assert RULES["tinynet"].multipliers(phi) == pytest.approx((depth, width, side / 224))


def test_tinynets_width_follows_its_formula() -> None:
    for phi in (-9.0, -4.0, -2.7, -1.0, -0.5, 0.0, 2.0):
        depth, width, zoom = RULES["tinynet"].multipliers(phi)
        assert width == pytest.approx(math.sqrt(2**phi / (zoom**2 * depth)))


@pytest.mark.parametrize("name", RULES)
def test_no_multiplier_falls_as_phi_grows(name: str) -> None:
    marks = sorted([row.octaves for row in ROWS] + [step / 64 for step in range(-8 * 64, 5 * 64)])
    before = RULES[name].multipliers(marks[0])
    for phi in marks[1:]:
        now = RULES[name].multipliers(phi)
        assert all(new >= old - 1e-12 for new, old in zip(now, before, strict=True)), phi
        before = now


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("phi", [math.nan, math.inf, -math.inf, 1e308, 60.0])
def test_every_rule_refuses_a_phi_out_of_range(name: str, phi: float) -> None:
    with pytest.raises(SmidgenError, match=r"out of range|finite number"):
        RULES[name].multipliers(phi)


def test_an_unknown_rule_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean compound"):
        rule_named("compund")
