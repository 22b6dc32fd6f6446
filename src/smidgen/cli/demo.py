"""`smidgen demo`: the main job on real handwritten digits."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from smidgen.cli.output import say
from smidgen.cli.running import contest_options, finish, job, refuse_processes, run_options
from smidgen.cli.streams import outliving_readers
from smidgen.data.runs import DIGITS, foreign_to_demo
from smidgen.spec import Budget, SmidgenError

__all__ = ["command"]

BUDGET = "params=30k, macs=3M"


@click.command("demo")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("smidgen-demo"),
    show_default=True,
    help="Folder for the pictures and the runs.",
)
@contest_options
@run_options
@outliving_readers()
def command(into: Path, as_json: bool, profile: bool, **options: Any) -> None:
    """Write the 1,797 digits of the UCI repository as PNG files and run `smidgen fit` on that folder."""
    from smidgen.data import open_dataset, write_folder

    refuse_processes("demo")
    if foreign := _foreign(into):
        more = ", …" if len(foreign) > 3 else ""
        told = f"{into} holds other things ({', '.join(foreign[:3])}{more})"
        raise SmidgenError(f"{told}; a new folder for the demo is needed, choose another --into")
    pictures = into / DIGITS
    asked = job(str(pictures), base=into / "run", **options)
    if not pictures.exists():
        write_folder(open_dataset("digits"), pictures)
    if not as_json:
        say(f'$ smidgen fit {shlex.quote(str(pictures))} --budget "{BUDGET}"', "bold cyan")
    from smidgen.run import fit

    finish(lambda watch: fit(asked, Budget.parse(BUDGET), watch), as_json, profile)


def _foreign(into: Path) -> list[str]:
    """What the folder holds beside earlier demos. Raises SmidgenError where it cannot be looked into."""
    try:
        return foreign_to_demo(into) if into.is_dir() else []
    except OSError as error:
        raise SmidgenError(f"{into}: cannot be read ({error.strerror or error})") from None
