"""`smidgen eval`: accuracy of a model on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smidgen.cli.output import print_json, print_table, say
from smidgen.cli.running import require_torch, terminal_watch

if TYPE_CHECKING:
    from smidgen.train.scoring import Choice

__all__ = ["command"]


@click.command("eval", short_help="Measure a model's accuracy on DATA.")
@click.argument("model", metavar="MODEL")
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["auto", "all", "train", "val", "test"]),
    default="auto",
    show_default=True,
    help="auto: the test part of the data that the model was trained on, all of any other data.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, data: str, part: Choice, skip_bad: bool, as_json: bool) -> None:
    """Measure the accuracy of MODEL (a model file or a published name) on DATA."""
    require_torch()
    from smidgen.train.scoring import score
    from smidgen.train.watch import Watch

    result = score(model, data, part=part, skip_bad=skip_bad, watch=Watch() if as_json else terminal_watch())
    if as_json:
        print_json(result)
        return
    low, high = result["interval"]
    say(
        f"{model} on {result['part']} of {data}: {100 * result['accuracy']:.2f} % of {result['n']} pictures",
        "bold",
    )
    say(f"95 % interval      {100 * low:.1f} to {100 * high:.1f} %")
    say(f"balanced accuracy  {100 * result['balanced_accuracy']:.2f} %")
    rows = [
        [
            row["name"],
            *(f"{100 * row[key]:.1f}" if row[key] is not None else "" for key in ("precision", "recall")),
            str(row["support"]),
        ]
        for row in result["classes"]
    ]
    print_table(("class", "precision %", "recall %", "pictures"), rows)
