"""`smidgen draw`: pictures of networks, drawn from their trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smidgen import families, gate
from smidgen.cli.family_options import FamilyCommand, own_values
from smidgen.cli.output import say
from smidgen.cli.targets import network_options, output_option
from smidgen.draw import (
    Line,
    Panel,
    Point,
    architecture,
    block,
    compare,
    locate,
    panels,
    scaling,
    scatter,
    shift_operation,
)
from smidgen.scaling import scale, strategies
from smidgen.scaling.compound import family_named
from smidgen.scaling.rules import DEPTH, PAPER, RESOLUTION, WIDTH, Rule
from smidgen.seal import sealed
from smidgen.spec import SmidgenError
from smidgen.weights import is_path, open_network
from smidgen.weights.results import PAPER_V1, RESULTS, SLIDES, SQUEEZENET

__all__ = ["command"]

# Figures that are not of one network.
FIGURES = ("shift", "scaling", "accuracy", "strategies")

# Source of a published accuracy -> its series in the accuracy figure; other sources are left out.
SERIES = {PAPER_V1: "EfficientNet", SQUEEZENET: "SqueezeNet", SLIDES: "ShiftNet"}


@click.command("draw", cls=FamilyCommand)
@click.argument("what", nargs=-1, required=True, metavar="NAME|FILE...|shift|scaling|accuracy|strategies")
@output_option(required=True, help="SVG file to write.")
@network_options
@click.option(
    "--block", "path", metavar="PATH", help="Draw one block, such as features.3.0, instead of the whole."
)
@click.option("--family", default="efficientnet", show_default=True, help="Family of the scaling figure.")
@click.option(
    "--phi", default=1.0, show_default=True, help="Growth of the scaling figure: 2^phi times the MACs."
)
@click.option("--kernel", default=3, show_default=True, help="Window of the shift figure.")
def command(
    what: tuple[str, ...],
    output: Path,
    path: str | None,
    family: str,
    phi: float,
    kernel: int,
    own: dict[str, str],
    **options: Any,
) -> None:
    """Draw one network, or several side by side, as an SVG file.

    \b
    smidgen draw efficientnet_b0 -o b0.svg                       a whole architecture
    smidgen draw squeezenet1_0 --block features.3 -o fire.svg    one block
    smidgen draw squeezenet1_0 squeezenet1_0_bypass -o two.svg   several, side by side
    smidgen draw shift -o shift.svg                              the shift operation
    smidgen draw scaling -o scaling.svg                          wider, deeper, finer, compound
    smidgen draw accuracy -o accuracy.svg                        parameters against ImageNet top-1
    smidgen draw strategies -o strategies.svg                    SqueezeNet's three strategies
    """
    if output.suffix.lower() != ".svg":
        raise SmidgenError(f"{output}: figures are SVG; call the file {output.stem}.svg")
    gate.require(output, gate.FIGURE, [name for name in what if is_path(name)])
    if len(what) == 1 and what[0] in FIGURES:
        if path or own or any(value is not None for value in options.values()):
            raise SmidgenError(f"the {what[0]} figure takes no --block and no options of a network")
        svg = {
            "shift": lambda: shift_operation(kernel=kernel),
            "scaling": lambda: _scaling(family, phi),
            "accuracy": _accuracy,
            "strategies": _strategies,
        }[what[0]]()
    else:
        svg = _networks(what, path, options, own)
    with gate.replacing(output, gate.FIGURE) as temporary:
        temporary.write_text(sealed(svg), encoding="utf-8", errors="backslashreplace")
    say(str(output))


def _networks(names: tuple[str, ...], path: str | None, options: dict[str, Any], own: dict[str, str]) -> str:
    networks = [open_network(name, **options, **own_values(name, own)) for name in names]
    if path is None:
        return architecture(networks[0]) if len(networks) == 1 else compare(networks)
    if len(networks) > 1:
        raise SmidgenError("--block draws a block of one network, not of several")
    node, shape = locate(networks[0], path)
    return block(node, shape, f"{networks[0].name} {path}")


def _scaling(family: str, phi: float) -> str:
    """The baseline and four ways to spend 2^phi times its MACs (Tan & Le 2019, Figure 2)."""
    family_named(family)

    def grown(rule: Rule, growth: float) -> Any:
        return scale(family, growth, alpha=rule.alpha, beta=rule.beta, gamma=rule.gamma)

    networks = [grown(PAPER, 0), *(grown(rule, phi) for rule in (WIDTH, DEPTH, RESOLUTION, PAPER))]
    return scaling(networks, ["baseline", "wider", "deeper", "higher resolution", "compound"])


def _accuracy() -> str:
    """Parameters, counted, against ImageNet top-1, as the papers and their authors' releases report it."""
    points = [
        Point(row.network, families.network(row.network).cost().params, row.top1, SERIES[row.source])
        for row in RESULTS
        if row.dataset == "ImageNet" and row.source in SERIES
    ]
    return scatter(points, title="Parameters and ImageNet accuracy, as published")


def _strategies() -> str:
    """SqueezeNet 1.0 with one strategy at a time turned (Iandola et al. 2016, section 3.1)."""
    share, ratio = "share of 3x3 among the expand filters", "squeeze over expand filters"
    charts = [
        _costs("1x1 instead of 3x3", share, "share_3x3", strategies.SHARES),
        _costs("Fewer inputs to the 3x3", ratio, "squeeze_ratio", strategies.RATIOS),
        _late(),
    ]
    return panels(charts, "SqueezeNet's three strategies, each on its own")


def _costs(title: str, across: str, option: str, values: tuple[float, ...]) -> Panel:
    """Parameters and MACs, relative to SqueezeNet 1.0, over one option of the design space."""
    base = strategies.outcome()
    found = [(value, strategies.outcome(**{option: value})) for value in values]
    lines = (
        Line("parameters", tuple((value, each.params / base.params) for value, each in found)),
        Line("multiply-adds", tuple((value, each.macs / base.macs) for value, each in found)),
    )
    marks = tuple((value, f"{value:g}") for value in values)
    return Panel(title, "cost over that of SqueezeNet 1.0", across, "times SqueezeNet 1.0", marks, lines)


def _late() -> Panel:
    """Sides of the maps after the stem and every Fire module, for pools in different places."""
    found = {name: strategies.outcome(pools=pools) for name, pools in strategies.POOLS.items()}
    lines = tuple(
        Line(
            f"{name}: {each.macs / 1e9:.2f} G MACs, sees {each.receptive_field} px",
            tuple((float(index), float(side)) for index, side in enumerate(strategies.sides(each.network))),
        )
        for name, each in found.items()
    )
    marks = ((0.0, "stem"), *((float(index), str(index + 1)) for index in range(1, 9)))
    return Panel("Down-sample late", "side of the maps", "Fire module", "pixels", marks, lines)
