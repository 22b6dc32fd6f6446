"""`smidgen show`: a network layer by layer."""

from __future__ import annotations

from typing import Any

import click

from smidgen import gate, modelfile
from smidgen.cli.family_options import FamilyCommand, own_values
from smidgen.cli.output import bytes_text, print_json, print_table, say
from smidgen.cli.targets import csv_option, network_options, require_table, write_table
from smidgen.draw.blocks import BlockRow, rows
from smidgen.draw.cut import blocks
from smidgen.draw.terms import leaf_name
from smidgen.graph import Layer, Network, layers
from smidgen.spec import first
from smidgen.weights import is_path, open_network

__all__ = ["command"]

COLUMNS = ("layer", "operation", "output", "params", "MACs", "output bytes", "receptive field", "stride")
LEFT_OUT = "BatchNorm, activations, pooling, sums, gates and biases"


@click.command("show", cls=FamilyCommand)
@click.argument("network", metavar="NAME|FILE")
@network_options
@click.option("--all", "unfold", is_flag=True, help="Every layer instead of folding by block.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, unfolded.")
@csv_option(help="Write the table as CSV instead, unfolded")
def command(
    network: str, unfold: bool, as_json: bool, csv_file: str | None, own: dict[str, str], **options: Any
) -> None:
    """Show a network layer by layer: shapes, parameters, MACs, memory, receptive field, exact totals."""
    require_table(csv_file, gate.table(COLUMNS), as_json, [network])
    net = open_network(network, **options, **own_values(network, own))
    table = layers(net.tree, net.input)
    if csv_file is not None:
        write_table(csv_file, COLUMNS, map(_exact, table))
    if as_json:
        print_json(
            {**_totals(net), "layers": [dict(zip(COLUMNS, _exact(row), strict=True)) for row in table]}
        )
    elif csv_file is None:
        say(f"{net.name}: {net.input} picture, {net.num_classes} classes", "bold")
        shown = [_cells(row) for row in table] if unfold else _folded(net, table)
        print_table(COLUMNS, shown, left=2)
        _summary(net)
        if net.dropped_strides:
            told = first(net.dropped_strides, "stride")
            say(f"dropped       {told} became 1{_reason(network, options['dropped_strides'])}")


def _totals(net: Network) -> dict[str, Any]:
    cost = net.cost()
    return {
        "name": net.name,
        "family": net.family,
        "input": list(net.input[:3]),
        "classes": net.num_classes,
        "params": cost.params,
        "buffers": cost.buffers,
        "macs": cost.macs,
        "elementwise": cost.elementwise,
        "peak_bytes": cost.peak_bytes,
        "weight_bytes": modelfile.weight_bytes(net),
        "int8_bytes": modelfile.weight_bytes(net, weights="int8"),
        "dropped_strides": net.dropped_strides,
    }


def _exact(row: Layer) -> tuple[str | int, ...]:
    field = "x".join(map(str, row.receptive_field))
    name = leaf_name(row.node)
    return row.path, name, str(row.out), row.params, row.macs, row.activation_bytes, field, row.stride


def _cells(row: Layer) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else value for value in _exact(row)]


def _folded(net: Network, table: list[Layer]) -> list[list[str]]:
    """A row for each run of like blocks."""
    cells = []
    for row in rows(blocks(net.tree, net.input)):
        inside = [layer for layer in table if not layer.gated and _lies_in(layer.path, row)]
        heights, widths = (
            zip(*(layer.receptive_field for layer in inside), strict=True) if inside else ("1", "1")
        )
        field = f"{max(heights)}x{max(widths)}"
        repeats = f" ×{len(row.blocks)}" if len(row.blocks) > 1 else ""
        stride = str(inside[-1].stride) if inside else ""
        numbers = (f"{number:,}" for number in (row.params, row.macs, 4 * row.out.numel))
        cells.append([row.path, row.title() + repeats, str(row.out), *numbers, field, stride])
    return cells


def _lies_in(path: str, row: BlockRow) -> bool:
    return any(path == block.path or path.startswith(f"{block.path}.") for block in row.blocks)


def _reason(target: str, asked: int | None) -> str:
    """Why strides were dropped; a model file keeps the number alone."""
    if is_path(target):
        return ""
    return ", because the pictures are small" if asked is None else ", as asked"


def _summary(net: Network) -> None:
    cost = net.cost()
    say(f"params        {cost.params:,}")
    say(f"MACs          {cost.macs:,} of convolutions and linear layers (1 MAC = 2 FLOPs)")
    say(f"left out      {cost.elementwise:,} elementwise operations: {LEFT_OUT}")
    say(f"peak memory   {bytes_text(cost.peak_bytes)} of activations at batch 1, fp32")
    int8 = bytes_text(modelfile.weight_bytes(net, weights="int8"))
    size = bytes_text(modelfile.weight_bytes(net))
    say(f"model file    {size} as saved in fp32, and what a training says of itself; {int8} if it were int8")
