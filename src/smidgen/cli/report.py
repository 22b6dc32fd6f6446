"""`smidgen report`: a run's page and model card, made again from what the run recorded."""

from __future__ import annotations

from pathlib import Path

import click

from smidgen import gate
from smidgen.cli.output import say
from smidgen.spec import SmidgenError

__all__ = ["command"]


@click.command("report")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Write report.html and model_card.md of RUN, a run's folder, again, and print where they are.

    Everything comes from RUN/report.json; the drawing of the network needs the model file beside it.
    """
    from smidgen import report

    if not run.is_dir():
        found = "a file" if run.exists() else "no such folder"
        raise SmidgenError(f"{run}: {found}; `smidgen fit` and `smidgen train` write a run's folder")
    document = report.read(run / "report.json")
    page, card = run / "report.html", run / "model_card.md"
    reads = [run / "report.json", run / Path(document["model_file"] or "").name]
    gate.require(page, gate.PAGE, reads)
    gate.require(card, gate.CARD, reads)
    drawing = _drawing(run, document["model_file"])
    try:
        say(str(report.write_page(page, document, drawing)))
        say(str(report.write_card(card, document)))
    except OSError as error:
        raise SmidgenError(f"{run}: cannot be written to ({error.strerror or error})") from None


def _drawing(run: Path, model_file: str | None) -> str | None:
    """The architecture as SVG; a report may come from elsewhere, so only files of its own folder are read."""
    from smidgen import modelfile
    from smidgen.draw import architecture

    path = run / Path(model_file or "").name
    return architecture(modelfile.read(path).network) if path.is_file() else None
