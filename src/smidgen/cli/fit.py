"""`smidgen fit`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smidgen.cli.running import contest_options, finish, job, refuse_processes, run_options
from smidgen.cli.streams import outliving_readers
from smidgen.cli.targets import device_option, dropped_strides_option
from smidgen.data import open_dataset
from smidgen.scaling.compound import family_named
from smidgen.scaling.device import read
from smidgen.spec import Budget

__all__ = ["command"]


@click.command("fit")
@click.argument("data")
@click.option("--budget", required=True, metavar="LIMITS", help='As in "params=200k, latency=2ms".')
@click.option("--family", "families", multiple=True, help="Only this family competes; may be repeated.")
@dropped_strides_option
@device_option
@contest_options
@run_options
@outliving_readers()
def command(
    data: str,
    budget: str,
    families: tuple[str, ...],
    device: Path | None,
    as_json: bool,
    profile: bool,
    **options: Any,
) -> None:
    """Turn DATA into the best classifier that fits the budget.

    DATA is a folder with a subfolder for each class (or train/, val/ and test/ that have them), a CSV
    with the columns path and label, or the name of a set, such as digits or emoji; a
    wrong name lists all.

    Limits are params, macs, weight_bytes (the model file), int8_bytes (what that would be in int8;
    the file itself is in fp32), peak_bytes (activations) and latency; k is 1000, KB 1000 bytes, KiB 1024.
    Milliseconds are this machine's, which takes some minutes to measure at first, or with --device FILE
    those of the one that was measured there.
    """
    limits = Budget.parse(budget)
    refuse_processes("fit")
    for family in families:
        family_named(family)
    if device is not None:
        read(device)
    open_dataset(data, group_by=options["group_by"])  # what torch need not be loaded for is refused here
    asked = job(data, device=device, **options)
    from smidgen.run import fit

    finish(lambda watch: fit(asked, limits, watch, families), as_json, profile)
