"""`smidgen search`: compound scaling's α, β, γ for one's own data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smidgen.cli.output import print_json, print_table, say
from smidgen.cli.running import ASPECT, RESOLUTION, SEED, refuse_processes, require_torch, run_place
from smidgen.cli.streams import outliving_readers
from smidgen.cli.watching import Quiet, Terminal
from smidgen.data import open_dataset, read_record
from smidgen.data.runs import STUDY
from smidgen.scaling import rule_named
from smidgen.scaling.compound import family_named
from smidgen.spec import SmidgenError, quantity

if TYPE_CHECKING:
    from smidgen.watch import Watch

__all__ = ["command"]


@click.command("search")
@click.argument("data", required=False)
@click.option("--family", help="Family that is scaled; needed to begin.")
@click.option(
    "--macs",
    default="1M,2M",
    show_default=True,
    metavar="N,N",
    help="Budgets in multiply-adds; the grid is searched at the smallest.",
)
@click.option(
    "--rules",
    default="compound,width,depth,resolution",
    show_default=True,
    metavar="NAMES",
    help="Named rules to compare at every budget.",
)
@click.option("--grid/--no-grid", default=True, help="Look for α, β, γ first, or only compare the rules.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Trainings of each.")
@click.option("--epochs", type=click.IntRange(1), help="Of each full training; default: as `fit` trains.")
@click.option(
    "--resolution",
    type=RESOLUTION,
    metavar="PIXELS",
    help="Of the base that all rules start from; default: the pictures' own size / √2.",
)
@ASPECT
@click.option("--seed", type=SEED, default=0, metavar="N", show_default=True, help="Decides the split.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read.")
@click.option(
    "--group-by", metavar="REGEX", help="Pictures whose names match alike stay in one part of the split."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="STUDY", help="Folder to create.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="STUDY",
    help="Go on with this search, or join it from another machine.",
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), help="Processes, one thread each; default: one a core."
)
@click.option("--json", "as_json", is_flag=True, help="Print search.json, alone on standard output.")
@click.pass_context
@outliving_readers()
def command(
    context: click.Context,
    /,
    data: str | None,
    family: str | None,
    macs: str,
    rules: str,
    resume: Path | None,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Grow FAMILY on DATA by different rules and say which serves it best, at equal multiply-adds.

    Every rule grows the same small base to the largest network inside each budget. The grid (Tan & Le 2019,
    section 3.3) tries all α, β, γ with α·β²·γ² about 2 and trains the better ones on. Any number of
    processes and machines may work on one STUDY in a shared folder; all may be killed, and --resume goes on.
    """
    refuse_processes("search")
    watch: Watch = Quiet() if as_json else Terminal()
    if resume is not None:
        _refuse_more(context, data)
        read_record(resume, STUDY)
        require_torch("a search", training=True)
        from smidgen.search import search_on

        folder, document = resume, search_on(resume, workers, watch)
    else:
        if data is None or family is None:
            raise SmidgenError("a search needs DATA and --family, or --resume STUDY")
        family_named(family)
        open_dataset(data, group_by=options["group_by"])  # before torch is loaded
        budgets, names = tuple(map(quantity, _parts(macs))), tuple(_parts(rules))
        for name in names:
            rule_named(name)
        run_place(data, options["out"], None, "-search")
        require_torch("a search", training=True)
        from smidgen.search import Wanted, search

        typed = shlex.join(["smidgen", *sys.argv[1:]])
        wanted = Wanted(data, family, macs=budgets, rules=names, command=typed, **options)
        folder, document = search(wanted, workers, watch)
    if as_json:
        print_json(document)
    else:
        _summarise(document, folder)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _refuse_more(context: click.Context, data: str | None) -> None:
    """Raise SmidgenError where a search that is already decided is given something to decide."""
    given = ["DATA"] if data is not None else []
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE and name not in (
            "resume", "workers", "as_json", "data",
        ):  # fmt: skip
            given.append(f"--{name.replace('_', '-')}")
    if given:
        raise SmidgenError(f"--resume goes on with what was decided; leave out {', '.join(given)}")


def _summarise(document: dict[str, Any], folder: Path) -> None:
    found = document["found"]
    if found:
        _tell_found(found)
    say("accuracy at each budget (validation)", "bold")
    _tell_points(document)
    if document["comparisons"]:
        first = document["comparisons"][0]
        say(f"{first['first']} against the others: points of accuracy, 95 % interval each", "bold")
        _tell_comparisons(document["comparisons"])
    say(f"the family of {document['best']}", "bold")
    _tell_family(document["family"])
    for line in document["failed"]:
        say(f"left out: {line}", "yellow")
    if document["deaths"]:
        say(f"workers died over {document['deaths']} trainings, which were begun anew")
    for name in ("search.json", "rows.csv", "search.png"):
        say(f"  {folder / name}")


def _tell_found(found: dict[str, Any]) -> None:
    axes = [
        f"{sign} {found[axis]:g} ({low:g} to {high:g})"
        for axis, sign in (("alpha", "α"), ("beta", "β"), ("gamma", "γ"))
        for low, high in [found["ranges"][axis]]
    ]
    say(f"found: {', '.join(axes)}", "bold")
    also = ", ".join(found["no_difference_to"])
    beside = f" and with those to which no difference was found: {also}" if also else ""
    say(f"  in brackets: the rules with this network{beside}")
    best = found["share_of_resamples"]
    say("  best in so many resamples: " + ", ".join(f"{name} {100 * s:.0f} %" for name, s in best.items()))


def _tell_points(document: dict[str, Any]) -> None:
    rows = [
        [
            point["rule"], f"{point['budget']:,}", f"{point['phi']:.2f}", str(point["resolution"]),
            f"{point['params']:,}", f"{point['macs']:,}",
            f"{100 * point['accuracy']:.2f}" + (f" ± {100 * point['std']:.2f}" if point["std"] else ""),
            str(point["n"]),
        ]
        for point in document["points"]
    ]  # fmt: skip
    print_table(("rule", "budget", "phi", "pixels", "params", "MACs", "accuracy %", "seeds"), rows)


def _tell_comparisons(comparisons: list[dict[str, Any]]) -> None:
    rows = [
        [
            f"against {one['second']}", f"{one['budget']:,}", f"{100 * one['mean']:+.2f}",
            f"{100 * one['low']:+.2f} to {100 * one['high']:+.2f}", one["verdict"],
        ]
        for one in comparisons
    ]  # fmt: skip
    print_table(("", "budget", "difference", "interval", "verdict"), rows)


def _tell_family(family: list[dict[str, Any]]) -> None:
    rows = [[one["name"], str(one["resolution"]), f"{one['params']:,}", f"{one['macs']:,}"] for one in family]
    print_table(("network", "pixels", "params", "MACs"), rows)
