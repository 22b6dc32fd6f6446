"""`smidgen count`: the parameter table."""

from __future__ import annotations

import math
from typing import Any

import click

from smidgen import gate
from smidgen.cli.family_options import FamilyCommand, own_values
from smidgen.cli.output import print_json
from smidgen.cli.targets import csv_option, network_options, require_table, write_table
from smidgen.graph import parameters
from smidgen.graph.table import parameter_table
from smidgen.weights import open_network

__all__ = ["command"]

COLUMNS = ("module", "parameters")


@click.command("count", cls=FamilyCommand)
@click.argument("network", metavar="NAME|FILE")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@csv_option(help="Write the table as CSV instead")
def command(network: str, as_json: bool, csv_file: str | None, own: dict[str, str], **options: Any) -> None:
    """Count the trainable parameters of a network, tensor by tensor."""
    require_table(csv_file, gate.table(COLUMNS), as_json, [network])
    net = open_network(network, **options, **own_values(network, own))
    rows = [(name, math.prod(shape)) for name, shape in parameters(net.tree)]
    total = sum(count for _, count in rows)
    if csv_file is not None:
        write_table(csv_file, COLUMNS, rows)
    if as_json:
        print_json({"parameters": dict(rows), "total": total})
    elif csv_file is None:
        click.echo(parameter_table(rows))
        click.echo(total)
