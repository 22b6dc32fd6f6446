"""What `solve` leaves out, proved by looking at the whole lattice."""

import pytest

from smidgen import families
from smidgen.scaling import RULES, costs
from smidgen.scaling.stairs import PHI_STEP
from staircase import FAMILIES, HIGH, LOW, UNITS, Setting, at, staircase

MONOTONE = ("params", "macs", "weight_bytes", "int8_bytes")
LARGE = round(5 / PHI_STEP)
DEEP = round(3 / PHI_STEP)  # eight times as deep

SETTINGS = [
    Setting(family, *rest)
    for family in FAMILIES
    for rest in (
        (1,),
        (5,),
        (8, False, "compound", None, 2, 1),
        (16,),
        (32, False, "compound", 1 / 6),
        (32, False, "width"),
        (65, False, "tinynet", 1.0),
        (224,),
        (64, True),
        (8, True, "width"),
        (224, True, "compound"),
        (224, True, "tinynet"),
    )
]
SETTINGS += [Setting(family, 96, dropped=0) for family in ("efficientnet", "shiftnet")]


@pytest.mark.parametrize("family", FAMILIES)
def test_params_macs_and_file_never_fall_along_phi(family: str) -> None:
    for setting in (Setting(family, 16), Setting(family, 64, moves=True)):
        before = dict.fromkeys(UNITS, 0)
        for tread in staircase(setting, LARGE)[::3]:
            assert all(tread.costs[unit] >= before[unit] for unit in MONOTONE), tread.number
            before = tread.costs


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_memory_dips_by_no_more_than_the_family_says(setting: Setting) -> None:
    dip = families.families()[setting.family].dip
    most, before = 0, dict.fromkeys(UNITS, 0)
    for tread in staircase(setting, HIGH):
        assert all(tread.costs[unit] >= before[unit] for unit in MONOTONE), tread.number
        peak, width = (
            tread.costs["peak_bytes"],
            RULES[setting.rule].multipliers(tread.number * PHI_STEP).width,
        )
        assert peak >= (1 - dip.share) * most, tread.number
        if width >= dip.until:
            assert peak >= most, tread.number
        most, before = max(most, peak), tread.costs


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["depth", "resolution"])
@pytest.mark.parametrize("family", FAMILIES)
def test_memory_never_dips_where_the_width_stays(family: str, rule: str) -> None:
    for side in (8, 16, 32, 224):
        treads = staircase(Setting(family, side, True, rule), DEEP)
        peaks = [tread.costs["peak_bytes"] for tread in treads]
        assert peaks == sorted(peaks)


@pytest.mark.slow
@pytest.mark.parametrize("setting", [Setting("efficientnet", 16), Setting("shiftnet", 64, True)], ids=str)
def test_between_equal_networks_all_are_equal(setting: Setting) -> None:
    """The staircase here, like that of `solve`, takes the middle for granted where the ends are equal."""
    treads = iter(staircase(setting, LARGE))
    here = next(treads)
    for number in range(LOW, LARGE + 1):
        if number > here.number:
            here = next(treads)
        network = at(setting, number)
        assert (network.tree, network.input) == (here.network.tree, here.network.input), number


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", [8, 28, 224])
def test_the_smallest_network_of_the_range_has_a_map_at_its_end(family: str, side: int) -> None:
    for moves in (False, True):
        smallest = at(Setting(family, side, moves), LOW)
        assert costs(smallest)["macs"] > 0
