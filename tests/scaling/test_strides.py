"""Strides of small pictures: the usual ones, the published ones, and those that somebody asks for."""

from __future__ import annotations

import json

import pytest

from command_line import smidgen
from smidgen.graph import trunk_end
from smidgen.scaling import scale, solve
from smidgen.scaling.compound import stride_choices
from smidgen.spec import Budget, BudgetError, ShapeError
from staircase import FAMILIES

MEGABYTE = "params=200k, peak_bytes=1MB"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_megabyte_holds_a_network_of_every_family_at_96_pixels(family: str) -> None:
    asked = ("scale", family, "--classes", "10", "--resolution", "96", "--budget", MEGABYTE, "--json")
    outcome = smidgen(*asked)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["params"] <= 200_000
    assert found["peak_bytes"] <= 1_000_000
    assert found["input"] == [3, 96, 96]


@pytest.mark.parametrize("family", ["efficientnet", "shiftnet"])
def test_with_the_usual_strides_a_megabyte_holds_neither(family: str) -> None:
    asked = ("scale", family, "--classes", "10", "--resolution", "96", "--budget", MEGABYTE)
    outcome = smidgen(*asked, "--dropped-strides", "1")
    assert outcome.code == 2
    assert outcome.err.startswith(
        f"nothing in {family} fits params=200,000, peak_bytes=1,000,000 at 96 pixels "
        "with dropped_strides=1 (fewer may fit); its smallest"
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ("--budget", MEGABYTE),
            "strides       as published: they reach a larger phi than the default at 96 pi",
        ),
        (
            ("--budget", "params=200k"),
            "dropped       the first stride became 1, because the pictures are small",
        ),
        (
            ("--budget", "params=200k", "--dropped-strides", 2),
            "dropped       the first 2 strides became 1, as asked",
        ),
        (("--phi", "-4"), "dropped       the first stride became 1, because the pictures are small"),
        (("--phi", "-4", "--dropped-strides", 0), None),
    ],
)
def test_scale_says_what_became_of_the_strides_and_why(more: tuple[object, ...], told: str | None) -> None:
    lines = smidgen("scale", "efficientnet", "--classes", 10, "--resolution", 96, *more).out.splitlines()
    about = [line for line in lines if line.startswith(("strides ", "dropped "))]
    assert [line[: len(told or "")] for line in about] == ([told] if told else [])


def test_fewer_strides_are_no_hint_where_they_save_nothing_or_leave_no_pixel() -> None:
    for budget, side in ((Budget(params=100), 96), (Budget(peak_bytes=100), 16)):
        with pytest.raises(BudgetError, match=rf"at {side} pixels; its smallest"):
            solve("efficientnet", budget, num_classes=10, resolution=side, dropped_strides=1)


def test_an_empty_budget_is_refused_as_the_command_line_refuses_it() -> None:
    with pytest.raises(BudgetError) as caught:
        solve("shiftnet", Budget())
    told = smidgen("scale", "shiftnet", "--budget", ",")
    assert (told.code, told.err) == (2, f"{caught.value}\n")


def test_usual_strides_stay_where_they_reach_as_far() -> None:
    for budget in (Budget(params=200_000), Budget(params=200_000, macs=10**9)):
        found = solve("efficientnet", budget, num_classes=10, resolution=96)
        assert found == solve("efficientnet", budget, num_classes=10, resolution=96, dropped_strides=1)
        assert found.network.dropped_strides == 1
        assert "dropped" not in found.network.name


@pytest.mark.parametrize(
    ("family", "side", "budget"),
    [
        ("efficientnet", 96, Budget(peak_bytes=3_000_000)),
        ("efficientnet", 96, Budget(macs=30_000_000, params=2_000_000)),
        ("squeezenet", 64, Budget(macs=20_000_000)),
    ],
)
def test_published_strides_are_taken_where_they_reach_a_larger_phi(
    family: str, side: int, budget: Budget
) -> None:
    found, usual, published = (
        solve(family, budget, num_classes=10, resolution=side, dropped_strides=dropped)
        for dropped in (None, 1, 0)
    )
    assert found == published
    assert published.phi > usual.phi
    assert published.network.cost().params > usual.network.cost().params
    assert found.network.name.endswith("_dropped0")


@pytest.mark.parametrize("family", ["efficientnet", "squeezenet"])
def test_a_last_map_of_one_pixel_is_taken_only_where_nothing_else_fits(family: str) -> None:
    """At 32 pixels the published strides leave one."""
    usual = solve(family, Budget(macs=5_000_000), num_classes=10, resolution=32)
    assert usual.network.dropped_strides > 0
    assert min(trunk_end(usual.network.tree, usual.network.input)[1:3]) >= 4
    tight = solve("efficientnet", Budget(macs=1_500_000), num_classes=10, resolution=32)
    assert tight.network.dropped_strides == 0


def test_pictures_that_move_keep_the_strides_of_the_baseline_along_phi() -> None:
    budget = Budget(peak_bytes=1_500_000)
    found = solve("efficientnet", budget, base_resolution=96, num_classes=10)
    assert found.network.dropped_strides == 0
    assert found.network.input.height < 96 * 1.15**found.phi + 4
    assert found.phi > solve("efficientnet", budget, base_resolution=96, dropped_strides=1).phi


# Side of the smallest pictures of which the published strides leave a whole pixel. SqueezeNet's kernels are
# unpadded: 17 pixels become (17 - 3) / 2 + 1 = 8, then 4, 2, 1 by pools that round up; 16 become 7, 3, 1, 0.
@pytest.mark.parametrize(("family", "least"), [("efficientnet", 32), ("resnet", 4), ("squeezenet", 17)])
def test_published_strides_are_tried_from_the_side_that_leaves_a_pixel_on(family: str, least: int) -> None:
    assert stride_choices(family, resolution=least - 1)[1:] == ()
    usual, *others = stride_choices(family, resolution=least)
    assert usual > 0
    assert others == [0]


def test_a_map_that_vanishes_is_no_candidate_and_asking_for_it_is_refused_in_one_line() -> None:
    assert 0 not in stride_choices("squeezenet", resolution=12)
    with pytest.raises(ShapeError, match="pictures of 12 pixels are too small for squeezenet with dropped_s"):
        solve("squeezenet", Budget(params=50_000), resolution=12, dropped_strides=0)


def test_no_stride_is_tried_twice() -> None:
    assert stride_choices("efficientnet", resolution=224) == (0,)


def test_strides_that_are_asked_for_are_in_the_name_where_they_are_not_the_usual_ones() -> None:
    names = [
        scale("efficientnet", -4, base_resolution=96, dropped_strides=dropped).name
        for dropped in (None, 1, 0)
    ]
    assert names == ["efficientnet_phi-4", "efficientnet_phi-4", "efficientnet_phi-4_dropped0"]


def test_a_refusal_names_the_smallest_that_any_strides_give() -> None:
    with pytest.raises(BudgetError, match=r"efficientnet_\S+_dropped0, has peak_bytes=552,960$"):
        solve("efficientnet", Budget(peak_bytes=100_000), resolution=96, num_classes=10)
