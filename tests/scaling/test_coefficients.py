import json
import math
from pathlib import Path

import pytest

from command_line import smidgen
from smidgen.scaling.coefficients import comparisons

PAGE = Path(__file__).parents[2] / "docs/scaling.md"

# log(coefficient) / log(base) with the coefficients of tensorflow/tpu and the bases of the paper, and log2 of
# multiply-adds over B0's as torchvision 0.29.2 states them: computed beside this library.
#            depth width  pixels MACs
IMPLIED = {
    "b1": (0.52, 0.00, 0.49, 0.83),
    "b2": (1.00, 1.00, 1.07, 1.36),
    "b3": (1.85, 1.91, 2.09, 2.24),
    "b4": (3.22, 3.53, 3.78, 3.51),
    "b5": (4.32, 4.93, 5.09, 4.73),
    "b6": (5.24, 6.17, 6.14, 5.63),
    "b7": (6.21, 7.27, 7.05, 6.61),
    "l2": (9.15, 15.3, 9.11, 10.27),
}


@pytest.mark.parametrize("short", IMPLIED)
def test_the_published_table_implies_another_phi_on_each_axis(short: str) -> None:
    row = next(row for row in comparisons("efficientnet") if row.name == f"efficientnet_{short}")
    assert (*row.implied, row.octaves) == pytest.approx(IMPLIED[short], abs=0.006)


def test_the_rule_beside_a_row_has_its_cost() -> None:
    for row in comparisons("efficientnet"):
        assert row.ruled.depth == pytest.approx(1.2**row.octaves)
        assert row.ruled.resolution == pytest.approx(math.exp(row.octaves * math.log(1.15)))


def test_the_page_shows_the_table_as_the_command_prints_it() -> None:
    printed = smidgen("scale", "efficientnet", "--table")
    assert printed.code == 0
    assert printed.out.strip() in PAGE.read_text(encoding="utf-8")


def test_the_table_as_json_has_what_was_published_and_what_the_rule_says() -> None:
    rows = json.loads(smidgen("scale", "efficientnet", "--table", "--json").out)
    b3 = next(row for row in rows if row["name"] == "efficientnet_b3")
    # tensorflow/tpu efficientnet_builder.py: width 1.2, depth 1.4, 300 pixels
    assert b3["published"] == {"depth": 1.4, "width": 1.2, "resolution": pytest.approx(300 / 224)}
    assert b3["side"] == 300
    assert b3["ruled"]["width"] == pytest.approx(1.1 ** b3["octaves"])
