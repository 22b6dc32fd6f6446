import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen import families, modelfile
from smidgen.families import Request, realise
from smidgen.graph import Network
from smidgen.scaling import PAPER, costs, solve
from smidgen.scaling.solve import PHI_RANGE, PHI_STEP
from smidgen.spec import Budget, BudgetError

FAMILIES = ("efficientnet", "resnet", "shiftnet", "squeezenet")
UNITS = ("params", "macs", "weight_bytes", "peak_bytes")


def at(family: str, phi: float, resolution: int, classes: int = 10, c_in: int = 3) -> Network:
    """The network that the rule has at phi, built beside `solve`."""
    chosen = families.families()[family]
    row = chosen.scaled(PAPER.beta**phi, PAPER.alpha**phi, resolution)
    name = f"{family}_w{PAPER.beta**phi:.2f}_d{PAPER.alpha**phi:.2f}"  # its length is part of the file's size
    return realise(chosen, row, name, Request(classes, c_in, resolution))


def test_the_design_lists_every_family() -> None:
    assert tuple(families.families()) == FAMILIES


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    family=st.sampled_from(FAMILIES),
    resolution=st.sampled_from([1, 5, 8, 16, 28, 32, 65, 96, 224]),
    limits=st.dictionaries(st.sampled_from(UNITS), st.floats(3.5, 7.5), min_size=1),
    classes=st.integers(1, 200),
    c_in=st.sampled_from([1, 3]),
)
def test_every_limit_is_obeyed_and_one_step_more_breaks_one(
    family: str, resolution: int, limits: dict[str, float], classes: int, c_in: int
) -> None:
    budget = Budget(**{unit: round(10**power) for unit, power in limits.items()})
    smallest = costs(at(family, PHI_RANGE[0], resolution, classes, c_in))
    if budget.excesses(smallest):
        with pytest.raises(BudgetError) as caught:
            solve(family, budget, num_classes=classes, c_in=c_in, resolution=resolution)
        assert all(f"{unit}={smallest[unit]:,}" in str(caught.value) for unit in budget.limits())
        return
    solution = solve(family, budget, num_classes=classes, c_in=c_in, resolution=resolution)
    used = costs(solution.network)
    assert budget.excesses(used) == []
    assert used["params"] == solution.network.cost().params
    assert all(solution.slack[unit] == 1 - used[unit] / limit for unit, limit in budget.limits().items())
    if solution.phi < PHI_RANGE[1]:
        larger = costs(at(family, solution.phi + PHI_STEP, resolution, classes, c_in))
        assert solution.binding == budget.excesses(larger)[0].unit
    else:
        assert solution.binding is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("resolution", [5, 16, 32, 224])
def test_params_macs_and_file_never_fall_along_phi_and_memory_dips_little(
    family: str, resolution: int
) -> None:
    before: dict[str, int] = dict.fromkeys(UNITS, 0)
    for step in range(-32 * 64, 6 * 64, 29):
        now = costs(at(family, step / 64, resolution))
        # A residual that ends where two widths part needs no copy of its input any more.
        least = before | {"peak_bytes": round(0.9 * before["peak_bytes"])}
        assert all(now[unit] >= least[unit] for unit in UNITS), (step / 64, before, now)
        before = now


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("resolution", [8, 16, 28, 64, 224])
def test_dropped_strides_stay_the_same_along_phi(family: str, resolution: int) -> None:
    assert len({at(family, phi, resolution).dropped_strides for phi in range(-32, 7, 3)}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_without_end_gives_the_end_of_the_range(family: str) -> None:
    solution = solve(family, Budget(params=10**15), resolution=32, num_classes=10)
    assert (solution.phi, solution.binding) == (PHI_RANGE[1], None)


def test_an_impossible_budget_names_the_cost_of_the_smallest() -> None:
    smallest = at("shiftnet", PHI_RANGE[0], 8, classes=2, c_in=1).cost().params
    with pytest.raises(BudgetError, match=f"nothing in shiftnet fits params=9 .* has params={smallest:,}$"):
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


def test_the_resolution_is_kept() -> None:
    assert solve("efficientnet", Budget(params=500_000), resolution=57).network.input[1:3] == (57, 57)
