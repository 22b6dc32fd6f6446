"""`smidgen models`: what can be built."""

from __future__ import annotations

import click

from smidgen import families, gate, weights
from smidgen.cli.output import count_text, print_json, print_table, say
from smidgen.cli.targets import csv_option, require_table, write_table
from smidgen.spec import UnknownNameError, closest
from smidgen.weights.results import Result, results_of

__all__ = ["command"]

COLUMNS = ("name", "params", "MACs", "pixels", "top-1", "on", "published params", "weights", "source")


@click.command("models")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@csv_option(help="Write the table as CSV instead")
def command(pattern: str, as_json: bool, csv_file: str | None) -> None:
    """List the networks whose names match a shell PATTERN, such as 'efficientnet*'.

    Params and MACs are counted from the tree; accuracy is what its source reports.
    """
    found = families.names(pattern)
    if not found:
        hint = closest(pattern, families.names())
        raise UnknownNameError(f"no network matches '{pattern}'; {hint}`smidgen models` lists all")
    require_table(csv_file, gate.table(COLUMNS), as_json)
    rows = [_row(name) for name in found]
    if csv_file is not None:
        write_table(csv_file, COLUMNS, rows)
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    elif csv_file is None:
        print_table(
            COLUMNS,
            [[_cell(column, value) for column, value in zip(COLUMNS, row, strict=True)] for row in rows],
        )
        say(f"{len(rows)} networks; params and MACs (1 MAC = 2 FLOPs) are counted, top-1 is the source's")


def _row(name: str) -> tuple[str | int | float | None, ...]:
    network = families.network(name)
    cost = network.cost()
    result = results_of(name) or Result(name, "", 0.0, "")
    published = "imagenet" if name in weights.names() else None
    return (
        name,
        cost.params,
        cost.macs,
        network.input.height,
        result.top1 or None,
        result.dataset or None,
        result.params,
        published,
        result.source or None,
    )


def _cell(column: str, value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and column in ("params", "MACs"):
        return f"{value:,}" if column == "params" else count_text(value)
    return f"{value} M" if column == "published params" else str(value)
