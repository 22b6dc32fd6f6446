"""`smidgen scale`: grow or shrink a family."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from smidgen import modelfile
from smidgen.cli.family_options import FamilyCommand, family_values
from smidgen.cli.output import bytes_text, print_json, print_table, say
from smidgen.cli.streams import outliving_readers
from smidgen.cli.targets import device_option, dropped_strides_option
from smidgen.cli.watching import Terminal
from smidgen.graph import Network
from smidgen.scaling import (
    PAPER,
    RULES,
    Multipliers,
    Rule,
    Scaling,
    Solution,
    costs,
    grow,
    rule_named,
)
from smidgen.scaling.coefficients import comparisons
from smidgen.scaling.compound import BASE_RESOLUTION, baseline, family_named
from smidgen.spec import LATENCY, UNITS, Budget, SmidgenError, first, shown

if TYPE_CHECKING:
    from smidgen.scaling.device import Device

__all__ = ["command"]


@click.command("scale", cls=FamilyCommand, scaled=True)
@click.argument("family")
@click.option("--phi", type=float, help="Exponent of the rule: each unit about doubles the multiply-adds.")
@click.option(
    "--budget",
    metavar="LIMITS",
    help=f"Limits instead of phi: of {', '.join(unit.written for unit in UNITS.values())}, as in "
    "'params=200k, latency=2ms'.",
)
@click.option("--table", is_flag=True, help="Print the family's published table beside the rule instead.")
@click.option("--rule", metavar="NAME", help=f"One of {', '.join(RULES)}.  [default: compound]")
@click.option("--alpha", type=float, help=f"Depth for each unit of phi.  [default: {PAPER.alpha}]")
@click.option("--beta", type=float, help=f"Width for each unit of phi.  [default: {PAPER.beta}]")
@click.option("--gamma", type=float, help=f"Resolution for each unit of phi.  [default: {PAPER.gamma}]")
@click.option(
    "--unconstrained", is_flag=True, help="Take alpha, beta, gamma whose alpha·beta²·gamma² is far from 2."
)
@click.option("--classes", "num_classes", default=1000, show_default=True, help="Number of classes.")
@click.option("--channels", "c_in", default=3, show_default=True, help="Channels of the pictures.")
@click.option("--base-resolution", type=int, help=f"Pixels at phi 0.  [default: {BASE_RESOLUTION}]")
@click.option("--resolution", type=int, help="Pixels that stay, whatever the rule says.")
@dropped_strides_option
@device_option
@click.option("--explain", is_flag=True, help="Print milliseconds as predicted and as measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    family: str,
    phi: float | None,
    budget: str | None,
    table: bool,
    rule: str | None,
    alpha: float | None,
    beta: float | None,
    gamma: float | None,
    unconstrained: bool,
    num_classes: int,
    c_in: int,
    base_resolution: int | None,
    resolution: int | None,
    own: dict[str, str],
    dropped_strides: int | None,
    device: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Scale FAMILY by a rule (--phi), or to the largest network of the rule inside a --budget.

    Depth, width and resolution grow by alpha, beta and gamma for each unit of phi, which may be a fraction
    or negative. With --resolution the pictures stay, and depth and width grow alone.
    """
    ways = {"--phi": phi is not None, "--budget": budget is not None, "--table": table}
    given = [way for way, chosen in ways.items() if chosen]
    if len(given) != 1:
        raise SmidgenError(f"give one of {', '.join(ways)}, not {' and '.join(given) or 'none'}")
    if table:
        more = (rule, alpha, beta, gamma, base_resolution, resolution, dropped_strides, device)
        if own or any(one is not None for one in more):
            raise SmidgenError("--table shows what was published; it takes nothing more than --json")
        _print_table(family, as_json)
        return
    if resolution is not None and base_resolution is not None:
        raise SmidgenError("give --resolution, which stays, or --base-resolution, which the rule moves")
    chosen = _rule(rule, alpha, beta, gamma)
    chosen.check(unconstrained)
    base = BASE_RESOLUTION if base_resolution is None else base_resolution
    limits = Budget.parse(budget) if budget is not None else Budget()
    wanted = device is not None or explain or limits.needs_device
    target = _device(device) if wanted else None
    options: dict[str, Any] = {
        "base_resolution": base, "resolution": resolution, "num_classes": num_classes, "c_in": c_in,
        "dropped_strides": dropped_strides,
    }  # fmt: skip
    known = family_named(family)
    options |= (values := family_values(known, own))
    if budget is None:
        assert phi is not None
        network, solution = grow(family, chosen, phi, **options), None
    else:
        from smidgen.scaling.on_device import solve_on

        solution = solve_on(family, limits, target, rule=chosen, **options)
        network, phi = solution.network, solution.phi
    factors = chosen.multipliers(phi)
    if resolution is not None:
        factors = factors._replace(resolution=1.0)
    asked: dict[str, Any] = {"rule": rule or "compound", "alpha": alpha, "beta": beta, "gamma": gamma}
    asked |= dict.fromkeys(option.name for option in known.options if not option.only) | values
    asked |= {"budget": limits.limits() or None, "classes": num_classes}
    times = _times(network, target, explain)
    if as_json:
        _print_as_json(network, phi, factors, solution, times, asked)
    else:
        _print(network, phi, factors, solution, times, _strides(family, network, options))


class _Times(NamedTuple):
    """Milliseconds of one picture: as predicted, what nineteen of twenty stay within, as measured."""

    device: str
    predicted: float
    bound: float
    measured: float | None


@outliving_readers()
def _device(path: Path | None) -> Device:
    from smidgen.scaling.measure import device_for, known  # bring the engine, which counting does not need

    if path is None and known() is None:
        say("this machine is not measured yet: that takes some minutes, once", err=True)
    found = device_for(path, Terminal())
    if doubt := found.doubt():
        say(doubt, err=True)
    return found


def _times(network: Network, device: Device | None, explain: bool) -> _Times | None:
    if device is None:
        return None
    predicted, bound = device.predicted_ms(network), device.bound_ms(network)
    measured = None
    if explain and device.here:
        from smidgen.scaling.measure import quietest

        measured = quietest([network], device.threads)[0].ms
    return _Times(str(device), predicted, bound, measured)


def _rule(name: str | None, alpha: float | None, beta: float | None, gamma: float | None) -> Scaling:
    """The rule that the options ask for."""
    if (alpha, beta, gamma) == (None, None, None):
        return rule_named(name or "compound")
    if name not in (None, "compound"):
        raise SmidgenError(f"--rule {name} has its own factors; leave out --alpha, --beta and --gamma")
    return Rule(
        PAPER.alpha if alpha is None else alpha,
        PAPER.beta if beta is None else beta,
        PAPER.gamma if gamma is None else gamma,
    )


def _strides(family: str, network: Network, options: Mapping[str, Any]) -> str:
    """A line about the strides where they are not simply the published ones; or nothing."""
    dropped = network.dropped_strides
    told = f"dropped       {first(dropped, 'stride')} became 1"
    if options["dropped_strides"] is not None:
        return f"{told}, as asked" if dropped else ""
    if dropped:
        return f"{told}, because the pictures are small"
    start = baseline(family, **options)
    if not start.usual:
        return ""
    usual = f"the default at {start.request.resolution} pixels, which drops {start.usual}"
    return f"strides       as published: they reach a larger phi than {usual}"


def _costs(network: Network) -> dict[str, int]:
    return costs(network) | {
        "weight_bytes": modelfile.weight_bytes(network),
        "int8_bytes": modelfile.weight_bytes(network, weights="int8"),
    }


def _print_as_json(
    network: Network,
    phi: float,
    factors: Multipliers,
    solution: Solution | None,
    times: _Times | None,
    asked: Mapping[str, Any],
) -> None:
    print_json(
        {
            "name": network.name,
            "family": network.family,
            **asked,
            "phi": phi,
            "multipliers": factors._asdict(),
            "input": network.input[:3],
            "dropped_strides": network.dropped_strides,
            **_costs(network),
            LATENCY.name: times._asdict() if times else None,
            "binding": solution.binding if solution else None,
            "slack": dict(solution.slack) if solution else {},
        }
    )


def _print(
    network: Network,
    phi: float,
    factors: Multipliers,
    solution: Solution | None,
    times: _Times | None,
    strides: str,
) -> None:
    """For people. `strides`: a line about them, or nothing."""
    used = _costs(network)
    say(f"{network.name}: {network.input} picture, {network.num_classes} classes, phi {phi:g}", "bold")
    told = ", ".join(f"{axis} {factor:.3g}" for axis, factor in factors._asdict().items())
    say(f"multipliers   {told} of the baseline, before rounding")
    if strides:
        say(strides)
    say(f"params        {used['params']:,}")
    say(f"MACs          {used['macs']:,}")
    as_int8 = bytes_text(used["int8_bytes"])
    say(f"model file    {bytes_text(used['weight_bytes'])} in fp32; it would be {as_int8} in int8")
    say(f"peak memory   {bytes_text(used['peak_bytes'])}")
    if times:
        _print_times(times)
    if solution is None:
        return
    say(f"slack         {', '.join(f'{unit} {100 * share:.1f} %' for unit, share in solution.slack.items())}")
    told = (
        f"{solution.binding}: one step larger would break it"
        if solution.binding
        else "nothing: the range of phi ends here"
    )
    say(f"binding       {told}")


def _print_times(times: _Times) -> None:
    say(
        f"latency       {shown(times.predicted)} ms predicted, at most {shown(times.bound)} in 19 of 20 cases"
    )
    say(f"              on {times.device}")
    if times.measured is not None:
        off = 100 * (times.predicted / times.measured - 1)
        say(f"              {shown(times.measured)} ms measured: the prediction is {off:+.1f} % off")


def _print_table(family: str, as_json: bool) -> None:
    """The published coefficients, the φ that each implies, and the rule at the same cost."""
    compared = comparisons(family)
    if as_json:
        print_json(
            [
                {key: value._asdict() if isinstance(value, Multipliers) else value for key, value in fields}
                for fields in (row._asdict().items() for row in compared)
            ]
        )
        return
    columns = ("", "d", "w", "px", "phi of d", "of w", "of px", "of MACs", "rule d", "w", "px")
    rows = [
        (
            row.name,
            *(f"{row.published.depth:.1f}", f"{row.published.width:.1f}", str(row.side)),
            *(f"{phi:.2f}" for phi in row.implied),
            f"{row.octaves:.2f}",
            *(f"{row.ruled.depth:.2f}", f"{row.ruled.width:.2f}"),
            f"{BASE_RESOLUTION * row.ruled.resolution:.0f}",
        )
        for row in compared
    ]
    print_table(columns, rows)
