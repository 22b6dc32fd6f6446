"""`smidgen predict`: what is on these pictures?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smidgen.cli.output import progress, say
from smidgen.cli.running import require_torch
from smidgen.spec import DataError, PictureError

if TYPE_CHECKING:
    from smidgen.train.predict import Prediction

__all__ = ["command"]


@click.command("predict", short_help="Name what is on pictures.")
@click.argument("model", metavar="MODEL")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="Answers for each picture.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def command(model: str, pictures: tuple[Path, ...], top: int, as_json: bool) -> int:
    """Name what is on PICTURES (files or folders) with MODEL: a model file or a published name.

    Pictures that cannot be read are reported at the end, with exit code 1; the rest is done.
    """
    require_torch()
    from smidgen.train.predict import open_predictor

    paths = _files(pictures)
    with progress(f"fetching {model}") as report:
        predictor = open_predictor(model, report)
    bad: list[str] = []
    for path in paths:
        try:
            ranked = predictor.rank(path)[:top]
        except PictureError as error:
            bad.append(str(error))
            continue
        _print(path, ranked, as_json)
    for line in bad:
        say(line, err=True)
    if bad:
        say(f"{len(bad)} of {len(paths)} pictures could not be read", err=True)
    return 1 if bad else 0


def _files(arguments: tuple[Path, ...]) -> list[Path]:
    from smidgen.images import is_picture_name

    files: list[Path] = []
    for argument in arguments:
        if argument.is_dir():
            found = sorted(
                path for path in argument.rglob("*") if path.is_file() and is_picture_name(path.name)
            )
            if not found:
                raise DataError(f"{argument}: a folder without pictures")
            files += found
        elif argument.exists():
            files.append(argument)
        else:
            raise DataError(f"{argument}: no such file")
    return files


def _print(path: Path, ranked: list[Prediction], as_json: bool) -> None:
    if as_json:
        answers = [{"class": answer.name, "probability": answer.probability} for answer in ranked]
        click.echo(json.dumps({"picture": str(path), "predictions": answers}, ensure_ascii=False))
    else:
        click.echo(f"{path}: " + ", ".join(f"{answer.name} {answer.probability:.2f}" for answer in ranked))
