"""`smidgen resume`: a run that was stopped or killed goes on."""

from __future__ import annotations

from pathlib import Path

import click

from smidgen import gate
from smidgen.cli.running import before_training, finish
from smidgen.cli.streams import outliving_readers
from smidgen.data import read_record
from smidgen.data.runs import RUN
from smidgen.spec import SmidgenError

__all__ = ["command"]


@click.command("resume")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, alone on standard output.")
@click.option("--profile", is_flag=True, help="Say where the time went.")
@outliving_readers()
def command(run: Path, as_json: bool, profile: bool) -> None:
    """Go on with RUN, the folder of a `fit` or `train` that did not come to its end.

    On the same machine it ends with the same weights, bit for bit, as if it had never stopped.
    """
    read_record(run, RUN)
    if (run / "report.json").exists() and not any(run.glob("**/checkpoints")):
        raise SmidgenError(f"{run}: this run is finished; its report is {run / 'report.html'}")
    if not (run / "report.json").exists():
        gate.require_run(run)
    before_training()
    from smidgen.run import resume

    finish(lambda watch: resume(run, watch), as_json, profile)
