"""`smidgen eval`: accuracy of a model on data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from smidgen import gate
from smidgen.cli.output import print_json, print_table, say
from smidgen.cli.running import require_torch
from smidgen.cli.targets import csv_option, csv_table, require_table
from smidgen.cli.watching import Quiet, Terminal
from smidgen.data import open_dataset
from smidgen.report.formats import plain
from smidgen.spec import counted
from smidgen.weights import require_model

if TYPE_CHECKING:
    from smidgen.train.scoring import Choice

__all__ = ["command"]

CSV_COLUMNS = ("class", "precision", "recall", "f1", "pictures")


@click.command("eval")
@click.argument("model", metavar="MODEL")
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["auto", "all", "train", "val", "test"]),
    default="auto",
    show_default=True,
    help="auto: the test part of the data that the model was trained on, all of any other data.",
)
@click.option("--group-by", metavar="REGEX", help="As it was given to the training.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read.")
@csv_option(help="Write the scores of each class as a table")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str,
    data: str,
    part: Choice,
    skip_bad: bool,
    group_by: str | None,
    csv_file: str | None,
    as_json: bool,
) -> None:
    """Measure the accuracy of MODEL (a model file or a published name) on DATA."""
    require_table(csv_file, gate.table(CSV_COLUMNS), as_json, [model, data])
    require_model(model)
    open_dataset(data, group_by=group_by)  # refuses in no time what torch would take seconds to load for
    require_torch()
    from smidgen.train.scoring import score

    with csv_table(csv_file, CSV_COLUMNS) as write:
        silent = as_json or csv_file == "-"
        watch = Quiet() if silent else Terminal()
        result = score(model, data, part=part, skip_bad=skip_bad, group_by=group_by, watch=watch)
        for row in result["classes"]:
            write(["" if row[key] is None else row[key] for key in ("name", *CSV_COLUMNS[1:-1], "support")])
    if as_json:
        print_json(result)
    elif csv_file != "-":
        _show(model, data, result)


def _show(model: str, data: str, result: dict[str, Any]) -> None:
    low, high = result["interval"]
    beside = f", balanced {100 * result['balanced_accuracy']:.2f} %" if result["misleading"] else ""
    told = f"{100 * result['accuracy']:.2f} % of {counted(result['n'], 'picture')}{beside}"
    style = "red" if result["at_chance"] else "yellow" if result["cautions"] else ""
    say(f"{model} on {result['part']} of {data}: {told}", f"bold {style}".strip())
    for caution in result["cautions"]:
        say(plain(caution), style)
    say(f"95 % interval      {100 * low:.1f} to {100 * high:.1f} %")
    if result["top5_accuracy"] is not None:
        say(f"among the best 5   {100 * result['top5_accuracy']:.2f} %")
    say(f"balanced accuracy  {100 * result['balanced_accuracy']:.2f} %")
    rows = [
        [
            row["name"],
            *("" if row[key] is None else f"{100 * row[key]:.1f}" for key in CSV_COLUMNS[1:-1]),
            str(row["support"]),
        ]
        for row in result["classes"]
    ]
    print_table(("class", "precision %", "recall %", "F1 %", "pictures"), rows)
    if result["confused"]:
        say("most confused", "bold")
    for pair in result["confused"]:
        say(f"  {pair['true']} taken for {pair['predicted']}: {pair['n']:,} of {pair['of']:,}")
