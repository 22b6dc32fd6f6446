import dataclasses
import math

import pytest

from smidgen import families
from smidgen.families import Request, realise
from smidgen.scaling import PAPER, RULES, Rule, grow, scale
from smidgen.spec import SmidgenError, UnknownNameError


def refusal(**arguments: float) -> str:
    with pytest.raises(SmidgenError) as caught:
        scale("efficientnet", **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.isprintable()
    return message


# Tan & Le 2019, arXiv:1905.11946, section 4: 1.2 · 1.1² · 1.15² = 1.92.
def test_the_papers_rule_doubles_nearly() -> None:
    assert (PAPER.alpha, PAPER.beta, PAPER.gamma) == (1.2, 1.1, 1.15)
    assert PAPER.doubling == pytest.approx(1.92, abs=0.001)
    PAPER.check()


@pytest.mark.parametrize("rule", [Rule(2, 1, 1), Rule(1, math.sqrt(2), 1), Rule(1, 1, math.sqrt(2))])
def test_growing_one_dimension_alone_is_a_rule(rule: Rule) -> None:
    rule.check()


def test_the_product_of_a_bad_rule_is_named() -> None:
    assert "4.801" in refusal(phi=1, alpha=3.0)  # 3 · 1.21 · 1.3225
    assert "1.210" in refusal(phi=1, alpha=1.0, gamma=1.0)


@pytest.mark.parametrize(
    "rule", [Rule(0.5, 2, 1), Rule(2, 1, 0.99), Rule(math.nan, 1, 1), Rule(1, 1, math.nan)]
)
def test_a_factor_below_one_is_refused(rule: Rule) -> None:
    with pytest.raises(SmidgenError, match="at least 1"):
        rule.check()


def test_a_bad_product_can_be_insisted_on_and_a_shrinking_factor_cannot() -> None:
    insisted = scale("efficientnet", 1, alpha=3.0, beta=1.0, gamma=1.0, unconstrained=True)
    family = families.families()["efficientnet"]
    tripled = realise(family, family.scaled(1, 3, 224), "x", Request(1000, 3, 224))
    assert insisted.tree == tripled.tree
    with pytest.raises(SmidgenError, match="at least 1"):
        scale("efficientnet", 1, alpha=0.9, unconstrained=True)


@pytest.mark.parametrize("family", list(families.families()))
@pytest.mark.parametrize("base", [16, 32, 64, 224])
def test_dropped_strides_are_those_of_phi_zero(family: str, base: int) -> None:
    start = scale(family, 0, base_resolution=base)
    grown = [scale(family, phi, base_resolution=base) for phi in (-30, -5, 3)]
    assert {network.dropped_strides for network in grown} == {start.dropped_strides}


def test_one_baseline_is_scaled_whatever_the_resolution() -> None:
    sides = [scale("shiftnet", phi, num_classes=10).input.height for phi in (-12, 0)]
    assert sides[0] < 64 < sides[1]  # at 64 pixels the baseline would be another, ShiftResNet
    kernels = [scale("shiftnet", phi, num_classes=10).cost().params for phi in (-9.5, -9.0, -8.5, -8.0)]
    assert kernels == sorted(kernels)


def test_phi_zero_is_the_baseline() -> None:
    assert scale("efficientnet", 0).tree == families.network("efficientnet_b0").tree
    assert scale("squeezenet", 0).cost() == families.network("squeezenet1_1").cost()
    small = scale("resnet", 0, base_resolution=32, num_classes=10)
    assert small.tree == families.network("resnet20").tree
    assert scale("shiftnet", 0).tree == families.network("shiftnet_b").tree
    shift = scale("shiftnet", 0, base_resolution=32, num_classes=10)
    assert shift.tree == families.network("shiftresnet20_e3").tree


# tensorflow/tpu, models/official/efficientnet/efficientnet_builder.py: width, depth, resolution, dropout
@pytest.mark.parametrize(
    ("name", "width", "depth", "resolution", "dropout"),
    [
        ("efficientnet_b0", 1.0, 1.0, 224, 0.2),
        ("efficientnet_b1", 1.0, 1.1, 240, 0.2),
        ("efficientnet_b2", 1.1, 1.2, 260, 0.3),
        ("efficientnet_b3", 1.2, 1.4, 300, 0.3),
        ("efficientnet_b4", 1.4, 1.8, 380, 0.4),
        ("efficientnet_b5", 1.6, 2.2, 456, 0.4),
        ("efficientnet_b6", 1.8, 2.6, 528, 0.5),
        ("efficientnet_b7", 2.0, 3.1, 600, 0.5),
    ],
)
def test_published_coefficients_give_the_published_networks(
    name: str, width: float, depth: float, resolution: int, dropout: float
) -> None:
    family = families.families()["efficientnet"]
    request = Request(1000, 3, resolution, dropout)
    published = families.network(name)
    constants = family.variants[name]  # from B5 on, torchvision's BatchNorm has others
    row = dataclasses.replace(
        family.scaled(width, depth, resolution), eps=constants.eps, momentum=constants.momentum
    )
    scaled = realise(family, row, name, request)
    assert (scaled.tree, scaled.input) == (published.tree, published.input)


@pytest.mark.parametrize("family", list(families.families()))
def test_each_unit_of_phi_about_doubles_the_macs(family: str) -> None:
    macs = [scale(family, phi).cost().macs for phi in (2, 3, 4, 5, 6)]
    growth = (macs[-1] / macs[0]) ** (1 / 4)
    assert growth == pytest.approx(2, rel=0.2)


def test_resolutions_are_multiples_of_eight_nearest_to_the_rule() -> None:
    for phi in (-3, -1, 0.5, 1, 2.5, 7):
        side = scale("efficientnet", phi).input.height
        assert side % 8 == 0
        assert abs(side - 224 * 1.15**phi) <= 4


@pytest.mark.parametrize("phi", [math.nan, math.inf, -math.inf, 1e9, 100.0, 1e308])
def test_a_phi_out_of_range_is_refused_at_once(phi: float) -> None:
    reason = "out of range" if math.isfinite(phi) else "a finite number is needed"
    assert reason in refusal(phi=phi)


def test_a_steep_rule_is_refused_before_it_fills_the_memory() -> None:
    assert "out of range" in refusal(phi=20, alpha=2.0, beta=1.0, gamma=1.0)


@pytest.mark.parametrize("phi", [-1e9, -300.0, -40.0])
@pytest.mark.parametrize("family", list(families.families()))
def test_the_smallest_networks_still_build(family: str, phi: float) -> None:
    assert scale(family, phi, num_classes=2).num_classes == 2


@pytest.mark.parametrize("resolution", [0, -100])
def test_pictures_without_pixels_are_refused(resolution: int) -> None:
    assert "at least 1 pixel" in refusal(phi=0, base_resolution=resolution)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_grows_every_family(name: str) -> None:
    for family in families.families():
        small, large = (grow(family, RULES[name], phi).cost().macs for phi in (-2.0, 1.0))
        assert 2 < large / small < 16


def test_options_of_a_network_are_passed_on_and_checked() -> None:
    network = scale("shiftnet", 0, num_classes=7, c_in=1, dropped_strides=2, order="paper")
    assert (network.num_classes, network.input.channels, network.dropped_strides) == (7, 1, 2)
    with pytest.raises(SmidgenError, match="did you mean order"):
        scale("shiftnet", 0, ordr="paper")


def test_an_unknown_family_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean squeezenet"):
        scale("squeezenett", 0)
