from pathlib import Path

import pytest

from heard import Heard
from smidgen import modelfile
from smidgen.families import families
from smidgen.run import propose
from smidgen.run.propose import LEAST_USE, SHAPES
from smidgen.scaling import Solution
from smidgen.spec import Budget, BudgetError
from smidgen.train.material import Material, prepare
from smidgen.watch import Watch
from tiny_set import shapes


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return prepare(str(shapes(tmp_path_factory.mktemp("place") / "tiny", per_class=8)), watch=Watch())


def use(solution: Solution) -> float:
    """Largest share of any limit."""
    return 1 - min(solution.slack.values())


def of(proposed: list[Solution]) -> list[str]:
    """The families that propose, in their order."""
    return list(dict.fromkeys(solution.network.family for solution in proposed))


@pytest.mark.parametrize(
    "budget",
    [
        Budget(params=30_000),
        Budget(macs=2_000_000),
        Budget(weight_bytes=150_000),
        Budget(int8_bytes=90_000),
        Budget(peak_bytes=200_000),
        Budget(params=50_000, macs=3_000_000, weight_bytes=250_000, peak_bytes=200_000),
    ],
)
def test_every_family_proposes_shapes_inside_the_budget(material: Material, budget: Budget) -> None:
    proposed = propose(material, budget, Watch())
    assert of(proposed) == list(families())
    for family in families():
        sides = [one.network.input.height for one in proposed if one.network.family == family]
        assert sides.count(16) <= SHAPES
        assert [side for side in sides if side != 16] in ([], [8])
        if not {"macs", "peak_bytes"} & set(budget.limits()):  # smaller pictures would save nothing
            assert 8 not in sides
    assert len({solution.network.tree for solution in proposed}) == len(proposed)
    for solution in proposed:
        network, cost = solution.network, solution.network.cost()
        used = {
            "params": cost.params,
            "macs": cost.macs,
            "peak_bytes": cost.peak_bytes,
            "weight_bytes": modelfile.weight_bytes(material.fitted(network)),
            "int8_bytes": modelfile.weight_bytes(material.fitted(network), weights="int8"),
        }
        assert not budget.excesses(used)
        assert network.num_classes == 3
        if network.input == (3, 16, 16, False):
            best = max(use(other) for other in proposed if other.network.family == network.family)
            assert use(solution) >= LEAST_USE * best


def test_smaller_pictures_buy_more_network(material: Material) -> None:
    budget = Budget(macs=600_000)
    proposed = propose(material, budget, Watch(), ("squeezenet",))
    (smaller,) = (one.network for one in proposed if one.network.input.height == 8)
    whole = [one.network for one in proposed if one.network.input.height == 16]
    assert smaller.cost().params > max(network.cost().params for network in whole)
    asked = propose(material, budget, Watch(), ("squeezenet",), shrink=False)
    assert [one.network for one in asked] == whole


def test_shift_networks_compete_with_several_expansions(material: Material) -> None:
    budgets = (Budget(params=params) for params in range(6_000, 60_000, 6_000))
    names = {
        one.network.name for budget in budgets for one in propose(material, budget, Watch(), ("shiftnet",))
    }
    assert any("_expand" in name for name in names)
    assert any("_expand" not in name for name in names)


def test_only_the_chosen_families_propose(material: Material) -> None:
    proposed = propose(material, Budget(params=30_000), Watch(), ("squeezenet", "resnet"))
    assert of(proposed) == ["squeezenet", "resnet"]


def test_a_family_that_cannot_fit_is_said_and_the_others_propose(material: Material) -> None:
    heard = Heard()
    proposed = propose(material, Budget(params=5_000), heard)
    said = [line.partition(" fits params=5,000 at 16 pixels")[0] for line in heard.lines]
    assert "nothing in efficientnet" in said
    assert of(proposed) == [family for family in families() if f"nothing in {family}" not in said]


def test_a_budget_that_nothing_fits_is_refused_with_the_smallest_of_each_family(material: Material) -> None:
    heard = Heard()
    with pytest.raises(BudgetError) as caught:
        propose(material, Budget(params=10), heard)
    line = str(caught.value)
    assert line.startswith("no network fits params=10 at 16 pixels; the smallest have: ")
    costs = dict(part.rsplit(" params=", 1) for part in line.partition("have: ")[2].split("; "))
    assert list(costs) == list(families())
    assert heard.lines == []
    for family, cost in costs.items():  # the smallest that is named is there, and nothing is below it
        params = int(cost.replace(",", ""))
        assert of(propose(material, Budget(params=params), heard, (family,))) == [family]
        with pytest.raises(BudgetError):
            propose(material, Budget(params=params - 1), heard, (family,))


def test_long_class_names_count_as_bytes_of_the_model_file(tmp_path: Path) -> None:
    folder = shapes(tmp_path / "tiny", per_class=4)
    short = prepare(str(folder), watch=Watch())
    for path in list(folder.iterdir()):
        path.rename(folder / (path.name + 200 * "x"))
    long = prepare(str(folder), watch=Watch())
    budget = Budget(weight_bytes=80_000)
    for chosen in ("resnet", "shiftnet", "squeezenet"):
        most = []
        for material in (short, long):
            networks = [one.network for one in propose(material, budget, Watch(), (chosen,))]
            assert max(modelfile.weight_bytes(material.fitted(network)) for network in networks) <= 80_000
            most.append(max(network.cost().params for network in networks))
        assert most[0] >= most[1]


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Pictures of 32 pixels: SqueezeNet drops a stride by default, and the published ones leave a pixel."""
    folder = shapes(tmp_path_factory.mktemp("place") / "tiny", per_class=8)
    return prepare(str(folder), resolution=32, watch=Watch())


def test_published_strides_compete_beside_the_usual_ones_where_they_save_what_is_limited(
    larger: Material,
) -> None:
    for budget in (Budget(macs=3_000_000), Budget(peak_bytes=250_000)):
        networks = [one.network for one in propose(larger, budget, Watch(), ("squeezenet",), shrink=False)]
        assert [network.dropped_strides for network in networks[-2:]] == [1, 0]
        assert sum(network.dropped_strides == 0 for network in networks) == 1
        assert len({network.name for network in networks}) == len(networks)
    proposed = propose(larger, Budget(params=30_000), Watch(), ("squeezenet",))
    assert {one.network.dropped_strides for one in proposed} == {1}


def test_published_strides_compete_alone_where_nothing_else_fits(larger: Material) -> None:
    budget = Budget(macs=250_000)
    with pytest.raises(BudgetError):
        propose(larger, budget, Watch(), ("squeezenet",), dropped_strides=1)
    proposed = propose(larger, budget, Watch(), ("squeezenet",))
    assert {one.network.dropped_strides for one in proposed} == {0}
    assert len(proposed) <= SHAPES + 1


def test_strides_that_are_asked_for_are_the_only_ones(larger: Material) -> None:
    for dropped in (0, 1, 2):
        proposed = propose(larger, Budget(macs=30_000_000), Watch(), dropped_strides=dropped)
        assert of(proposed) == list(families())
        assert {one.network.dropped_strides for one in proposed} == {dropped}


def test_strides_that_leave_no_map_are_said_and_other_families_propose(material: Material) -> None:
    heard = Heard()
    proposed = propose(material, Budget(params=100_000), heard, dropped_strides=0)
    assert "squeezenet" not in of(proposed)
    (line,) = heard.lines
    assert line.startswith("pictures of 16 pixels are too small for squeezenet with dropped_strides=0")
