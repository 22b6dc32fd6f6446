"""SqueezeNet's strategies; what is expected is worked out from the paper's formulas by hand."""

import importlib.util
import itertools
from pathlib import Path

import pytest

from smidgen.scaling.strategies import POOLS, RATIOS, SHARES, outcome, sides

ROOT = Path(__file__).parents[2]


def test_more_3x3_filters_cost_eight_more_weights_each() -> None:
    few, many = outcome(share_3x3=0.25), outcome(share_3x3=0.5)
    # A quarter of the expand filters of each pair of Fire modules, fed by an eighth of the expand filters.
    extra = sum(2 * (expand // 4) * (expand // 8) * 8 for expand in (128, 256, 384, 512))
    assert many.params - few.params == extra
    assert (many.peak_bytes, many.receptive_field) == (few.peak_bytes, few.receptive_field)


@pytest.mark.parametrize("pair", list(itertools.pairwise(RATIOS)))
def test_parameters_grow_in_proportion_to_the_squeeze_ratio(pair: tuple[float, float]) -> None:
    low, high = (outcome(squeeze_ratio=ratio).params for ratio in pair)
    slope = (outcome(squeeze_ratio=1.0).params - outcome(squeeze_ratio=0.125).params) / 0.875
    assert high - low == pytest.approx(slope * (pair[1] - pair[0]), rel=1e-6)


# A 3x3 filter adds two steps, a step being the product of the strides before it; the stem sees 7 pixels.
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("early", 7 + 2 * (2 + 4 + 4 + 8 + 8 + 16 * 6)),
        ("as in 1.1", 7 + 2 * (2 + 4 * 2 + 4 + 8 * 2 + 8 + 16 * 4)),
        ("as in 1.0", 7 + 2 * (2 + 4 * 3 + 4 + 8 * 4 + 8 + 16 * 1)),
        ("late", 7 + 2 * (2 * 2 + 2 + 4 * 3 + 4 + 8 * 3 + 8)),
    ],
)
def test_the_receptive_field_of_each_placement_is_the_sum_of_its_steps(name: str, field: int) -> None:
    assert outcome(pools=POOLS[name]).receptive_field == field


def test_late_pools_keep_maps_large_and_shrink_what_a_value_sees() -> None:
    found = [outcome(pools=pools) for pools in POOLS.values()]
    assert len({each.params for each in found}) == 1
    for before, after in itertools.pairwise(found):
        assert after.mean_side > before.mean_side
        assert after.macs > before.macs
        assert after.receptive_field < before.receptive_field
    # 224 pixels, an unpadded 7x7 stem of stride 2, pools of three that round up.
    assert sides(outcome(pools=POOLS["as in 1.0"]).network) == [109, 54, 54, 54, 27, 27, 27, 27, 13]


def test_the_page_shows_the_tables_as_the_script_prints_them() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "results/squeezenet_strategies.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (ROOT / "docs/squeezenet.md").read_text(encoding="utf-8")
    printed = script.tables().split("\n\n")
    assert [table.count("\n") - 1 for table in printed] == [len(SHARES), len(RATIOS), len(POOLS)]
    assert all(table in page for table in printed)
