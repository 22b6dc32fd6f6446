"""`smidgen count`: the parameter table."""

from __future__ import annotations

import math
from typing import Any

import click

from smidgen.cli.output import print_csv, print_json
from smidgen.cli.targets import network_options, open_network
from smidgen.graph import parameters
from smidgen.graph.table import parameter_table

__all__ = ["command"]


@click.command("count", short_help="Count a network's parameters, tensor by tensor.")
@click.argument("network", metavar="NAME|FILE")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(network: str, as_json: bool, as_csv: bool, **options: Any) -> None:
    """Count the trainable parameters of a network, tensor by tensor."""
    rows = [(name, math.prod(shape)) for name, shape in parameters(open_network(network, **options).tree)]
    total = sum(count for _, count in rows)
    if as_json:
        print_json({"parameters": dict(rows), "total": total})
    elif as_csv:
        print_csv(("module", "parameters"), rows)
    else:
        click.echo(parameter_table(rows))
        click.echo(total)
