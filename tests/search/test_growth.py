"""Networks that grow from one base."""

from __future__ import annotations

import pytest

from smidgen.families import families
from smidgen.run.propose import LEAST_USE
from smidgen.scaling import PAPER, candidates, grow, solve
from smidgen.search.growth import PHI_STEPS, Base, base_within, groups, grown, largest, rule_label, rule_of
from smidgen.spec import Budget, BudgetError, SmidgenError, UnknownNameError

# Three times the multiply-adds of the smallest network of each.
SMALLEST = {name: grow(name, PAPER, -32, resolution=16, num_classes=10, c_in=1) for name in families()}
FAMILIES = [(name, 3 * network.cost().macs) for name, network in SMALLEST.items()]


def base_of(family: str, macs: int) -> Base:
    return base_within(family, macs, resolution=16, num_classes=10, c_in=1)


@pytest.mark.parametrize(("family", "macs"), FAMILIES)
def test_base_obeys_the_budget_and_fills_it_about_as_the_compound_rule_does_or_better(
    family: str, macs: int
) -> None:
    base = base_of(family, macs)
    solved = solve(family, Budget(macs=macs), num_classes=10, c_in=1, resolution=16).network.cost().macs
    assert LEAST_USE * solved <= grown(base, PAPER, 0).cost().macs <= macs


def test_all_rules_begin_at_the_base() -> None:
    base = base_of("shiftnet", 250_000)
    start = grown(base, PAPER, 0)
    for label in ("width", "depth", "resolution", "1.1/1.2/1.1"):
        assert grown(base, rule_of(label), 0) == start


@pytest.mark.parametrize(("family", "macs"), FAMILIES)
def test_every_axis_of_the_base_is_about_to_grow(family: str, macs: int) -> None:
    base = base_of(family, macs)
    depth, width = rule_of("depth"), rule_of("width")
    tree = grown(base, PAPER, 0).tree
    assert grown(base, depth, 1 / 16).tree != tree
    assert grown(base, width, 1 / 8).tree != tree


@pytest.mark.parametrize("rule", ["compound", "width", "depth", "resolution", "1.1/1.2/1.1"])
def test_largest_obeys_the_budget_and_the_next_step_does_not(rule: str) -> None:
    base = base_of("shiftnet", 250_000)
    phi, network = largest(base, rule, 500_000)
    assert network == grown(base, rule_of(rule), phi)
    assert network.cost().macs <= 500_000
    assert grown(base, rule_of(rule), phi + 1 / PHI_STEPS).cost().macs > 500_000


def test_single_axes_move_nothing_else() -> None:
    base = base_of("shiftnet", 250_000)
    start = grown(base, PAPER, 0)
    wide, high = largest(base, "width", 900_000)[1], largest(base, "resolution", 900_000)[1]
    assert wide.input == start.input
    assert high.input.height > start.input.height
    assert high.cost().params == start.cost().params


def test_groups_are_the_lattice_with_equal_networks_together() -> None:
    base = base_of("squeezenet", 300_000)
    found = groups(base, 600_000)
    assert sorted(rule_label(rule) for group in found for rule in group) == sorted(
        map(rule_label, candidates())
    )
    shapes = []
    for group in found:
        networks = [largest(base, rule_label(rule), 600_000)[1] for rule in group]
        assert len({(network.tree, network.input) for network in networks}) == 1
        shapes.append((networks[0].tree, networks[0].input))
    assert len(set(shapes)) == len(shapes)


def test_the_papers_rule_stands_for_its_group() -> None:
    found = groups(base_of("squeezenet", 300_000), 600_000)
    (group,) = (group for group in found if PAPER in group)
    assert group[0] == PAPER


def test_labels_name_their_rules() -> None:
    for rule in candidates():
        assert rule_of(rule_label(rule)) == rule


def test_unknown_rule_is_one_line() -> None:
    with pytest.raises(UnknownNameError, match="did you mean width"):
        rule_of("widht")


def test_impossible_base_says_what_the_smallest_has() -> None:
    with pytest.raises(BudgetError, match="its smallest"):
        base_of("efficientnet", 1000)


def test_growth_out_of_range_is_refused() -> None:
    with pytest.raises(SmidgenError, match="out of range"):
        grown(base_of("shiftnet", 250_000), rule_of("depth"), 50)
