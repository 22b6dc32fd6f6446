from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen import modelfile
from smidgen.graph import Network
from smidgen.scaling import RULES, Rule, Solution, costs, solve
from smidgen.scaling.stairs import PHI_RANGE, PHI_STEP
from smidgen.spec import Budget, BudgetError, SmidgenError
from staircase import FAMILIES, LOW, UNITS, Setting, Tread, at, largest, staircase

STEEP = round(4 / PHI_STEP)  # large networks only cost the tests time


def solved(setting: Setting, budget: Budget, **more: Any) -> Solution:
    return solve(setting.family, budget, **setting.arguments(), **more)  # type: ignore[arg-type]


def budgets(treads: tuple[Tread, ...]) -> st.SearchStrategy[Budget]:
    """Limits on one to four units, each at or near what some step costs."""

    def near(unit: str) -> st.SearchStrategy[int]:
        exact = st.sampled_from(treads).map(lambda tread: tread.costs[unit])
        factors = st.one_of(st.just(1.0), st.floats(0.9, 1.1))
        return st.builds(lambda cost, factor: max(1, round(cost * factor)), exact, factors)

    chosen = st.lists(st.sampled_from(UNITS), min_size=1, unique=True)
    limits = chosen.flatmap(lambda units: st.fixed_dictionaries({unit: near(unit) for unit in units}))
    return limits.map(lambda found: Budget(**found))


def check(setting: Setting, budget: Budget) -> None:
    """The answer is the last of all steps that obeys every limit; the default's strides where both are."""
    settings = [setting]
    if setting.published and {"macs", "peak_bytes"} & budget.limits().keys():
        settings.append(setting.published)
    stairs = [staircase(each, STEEP) for each in settings]
    ends = [largest(treads, budget) for treads in stairs]
    numbers = [LOW - 1 if end is None else end.number for end in ends]
    which = numbers.index(max(numbers))
    setting, treads, expected = settings[which], stairs[which], ends[which]
    if expected is None:
        smallest = stairs[-1][0]
        with pytest.raises(BudgetError) as caught:
            solved(settings[0], budget)
        assert all(f"{unit}={smallest.costs[unit]:,}" in str(caught.value) for unit in budget.limits())
        assert smallest.network.name[: len(setting.family)] in str(caught.value)
        return
    if expected is treads[-1]:  # the staircase was built up to here only
        return
    solution = solved(settings[0], budget)
    used = costs(solution.network)
    assert budget.excesses(used) == []
    assert solution.phi == expected.number * PHI_STEP
    assert solution.network == at(setting, expected.number)  # its name says where it is
    larger = treads[treads.index(expected) + 1]
    assert solution.binding == budget.excesses(larger.costs)[0].unit
    assert solution.slack == {unit: 1 - used[unit] / limit for unit, limit in budget.limits().items()}


# In pictures of 16 pixels EfficientNet's memory dips.
@pytest.mark.parametrize("setting", [Setting(family, 16) for family in FAMILIES], ids=FAMILIES)
def test_every_limit_is_obeyed_and_no_larger_step_does(setting: Setting) -> None:
    treads = staircase(setting, STEEP)

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(budget=budgets(treads))
    def holds(budget: Budget) -> None:
        check(setting, budget)

    holds()


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting(family, *rest)
        for family in FAMILIES
        for rest in (
            (8, False, "compound", None, 2, 1),
            (32, False, "compound", 1 / 6),
            (64, True),
            (224, True, "compound", None, 1000),
            (28, False, "width", None, 100, 1),
            (224, True, "resolution"),
            (96, True, "tinynet"),
        )
    ]
    + [Setting("shiftnet", 32, expand=1 / 3), Setting("shiftnet", 96, True, expand=2.0)],
    ids=str,
)
def test_of_a_thousand_budgets_each_family_obeys_all(setting: Setting) -> None:
    treads = staircase(setting, STEEP)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(budget=budgets(treads))
    def holds(budget: Budget) -> None:
        check(setting, budget)

    holds()


@pytest.mark.parametrize("family", ["resnet", "squeezenet"])
def test_a_time_that_dips_is_searched_step_by_step(family: str) -> None:
    setting = Setting(family, 16)
    treads = staircase(setting, STEEP)
    for index in range(len(treads) // 4, len(treads) - 40, 9):
        time = steady(treads[index].network)
        params = treads[index + 2].costs["params"]
        for budget in (Budget(latency_ms=time), Budget(latency_ms=time, params=params)):
            expected = largest(treads, budget, steady)
            solution = solved(setting, budget, latency=steady)
            assert expected is not None
            assert solution.network.tree == expected.network.tree
            assert solution.slack["latency_ms"] == 1 - steady(solution.network) / time


def steady(network: Network) -> float:
    """Milliseconds of a network, whatever it is called: names differ within one step."""
    luck = hashlib.sha256(repr((network.tree, network.input)).encode()).digest()[0] / 255
    return network.cost().macs / 1e6 * (0.8 + 0.4 * luck)


def test_a_time_without_a_device_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        bound_ms = staticmethod(steady)

    monkeypatch.setattr("smidgen.scaling.measure.this_machine", Here)
    budget = Budget(latency_ms=2)
    assert solve("resnet", budget) == solve("resnet", budget, latency=steady)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_without_end_gives_the_end_of_the_range(family: str) -> None:
    solution = solve(family, Budget(params=10**15), resolution=32, num_classes=10)
    assert (solution.phi, solution.binding) == (PHI_RANGE[1], None)


def test_an_impossible_budget_names_the_smallest_network_and_its_cost() -> None:
    smallest = costs(at(Setting("shiftnet", 8, classes=2, c_in=1), LOW))["params"]
    which = r"its smallest for 2 classes, \S+"
    told = rf"nothing in shiftnet fits params=9 at 8 pixels; {which}, has params={smallest:,}$"
    with pytest.raises(BudgetError, match=told):
        solve("shiftnet", Budget(params=9), num_classes=2, c_in=1, resolution=8)
    assert solve("shiftnet", Budget(params=smallest), num_classes=2, c_in=1, resolution=8)


def test_names_of_classes_count_against_the_file() -> None:
    classes = tuple(f"{number} " + "é" * 100 for number in range(50))
    budget = Budget(weight_bytes=60_000)
    anonymous = solve("shiftnet", budget, num_classes=50, resolution=16)
    named = solve("shiftnet", budget, classes=classes, num_classes=50, resolution=16)
    assert named.network.classes == classes
    assert modelfile.weight_bytes(named.network) < 60_000
    assert named.phi < anonymous.phi


def test_a_resolution_that_is_given_is_kept() -> None:
    assert solve("efficientnet", Budget(params=500_000), resolution=57).network.input[1:3] == (57, 57)


def test_a_resolution_that_is_not_given_moves_with_the_rule() -> None:
    small = solve("efficientnet", Budget(macs=100_000_000))
    large = solve("efficientnet", Budget(macs=1_000_000_000))
    for solution in (small, large):
        side = solution.network.input.height
        assert side % 8 == 0
        assert abs(side - 224 * 1.15**solution.phi) <= 4
    assert small.network.input.height < 224 < large.network.input.height


@pytest.mark.parametrize("name", ["resolution", "depth", "width", "tinynet"])
def test_every_rule_solves_a_budget(name: str) -> None:
    budget = Budget(macs=200_000_000, peak_bytes=4_000_000)
    solution = solve("efficientnet", budget, rule=RULES[name], base_resolution=160)
    assert budget.excesses(costs(solution.network)) == []
    assert solution.binding in budget.limits()


def test_a_rule_that_moves_nothing_is_refused() -> None:
    with pytest.raises(
        SmidgenError, match="nothing is left for this rule to move: the pictures are fixed at 32 pixels"
    ):
        solve("resnet", Budget(params=10_000), rule=RULES["resolution"], resolution=32)


def test_a_rule_that_shrinks_is_refused() -> None:
    with pytest.raises(SmidgenError, match="at least 1"):
        solve("resnet", Budget(params=10_000), rule=Rule(0.9, 1.6, 1.0))
