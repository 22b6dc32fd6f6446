"""`smidgen scale`: grow or shrink a family."""

from __future__ import annotations

import click

from smidgen import modelfile
from smidgen.cli.output import bytes_text, print_json, say
from smidgen.scaling import PAPER, costs, scale, solve
from smidgen.scaling.compound import BASE_RESOLUTION
from smidgen.spec import Budget, SmidgenError

__all__ = ["command"]


@click.command("scale", short_help="Scale a family by the compound rule, or into a budget.")
@click.argument("family")
@click.option("--phi", type=float, help="Exponent of the compound rule.")
@click.option("--alpha", default=PAPER.alpha, show_default=True, help="Depth for each unit of phi.")
@click.option("--beta", default=PAPER.beta, show_default=True, help="Width for each unit of phi.")
@click.option("--gamma", default=PAPER.gamma, show_default=True, help="Resolution for each unit of phi.")
@click.option("--budget", help='Limits instead of phi, as in "params=200k, macs=40M".')
@click.option("--classes", "num_classes", default=1000, show_default=True, help="Number of classes.")
@click.option("--channels", "c_in", default=3, show_default=True, help="Channels of the pictures.")
@click.option(
    "--resolution", default=BASE_RESOLUTION, show_default=True, help="Pixels, with --phi those at phi 0."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    family: str,
    phi: float | None,
    alpha: float,
    beta: float,
    gamma: float,
    budget: str | None,
    num_classes: int,
    c_in: int,
    resolution: int,
    as_json: bool,
) -> None:
    """Scale FAMILY by the compound rule (--phi), or to the largest network inside a --budget.

    With a budget the resolution is fixed, and depth and width grow by alpha and beta.
    """
    if (phi is None) == (budget is None):
        raise SmidgenError("give either --phi or --budget")
    binding = None
    if budget is not None:
        solution = solve(
            family, Budget.parse(budget), num_classes=num_classes, c_in=c_in, resolution=resolution
        )
        network, phi, binding = solution.network, solution.phi, solution.binding
    else:
        assert phi is not None
        network = scale(
            family, phi, alpha=alpha, beta=beta, gamma=gamma,
            base_resolution=resolution, num_classes=num_classes, c_in=c_in,
        )  # fmt: skip
    used = costs(network) | {"weight_bytes": modelfile.weight_bytes(network)}
    if as_json:
        print_json({"name": network.name, "phi": phi, "input": network.input[:3], **used, "binding": binding})
        return
    say(f"{network.name}: {network.input} picture, {network.num_classes} classes, phi {phi:g}", "bold")
    say(f"params        {used['params']:,}")
    say(f"MACs          {used['macs']:,}")
    say(f"model file    {bytes_text(used['weight_bytes'])}")
    say(f"peak memory   {bytes_text(used['peak_bytes'])}")
    if binding:
        say(f"binding       {binding}: one step larger would break it")
