"""`smidgen train`: one network on one data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from smidgen.cli.output import progress
from smidgen.cli.running import finish, job, run_options
from smidgen.cli.streams import outliving_readers
from smidgen.data import open_dataset
from smidgen.spec import SmidgenError
from smidgen.weights import find, is_path

if TYPE_CHECKING:
    from smidgen.graph import Network
    from smidgen.train import Material

__all__ = ["command"]


@click.command("train")
@click.argument("data")
@click.option("--model", required=True, metavar="NAME", help="Network to train; `smidgen models` lists all.")
@click.option(
    "--weights",
    metavar="KEY",
    help="Start from these published weights, such as imagenet; downloaded where needed.",
)
@click.option("--recipe", "recipe_name", metavar="NAME", help="How to train; default: as `fit` does.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    metavar="RATE",
    help="Largest of the training; default: the recipe's.",
)
@run_options
@outliving_readers()
def command(
    data: str,
    model: str,
    weights: str | None,
    recipe_name: str | None,
    as_json: bool,
    profile: bool,
    **options: Any,
) -> None:
    """Train the network --model on DATA: a folder, a CSV or the name of a set."""
    from smidgen import families
    from smidgen.train import recipe

    if is_path(model):
        raise SmidgenError(
            f"{model}: training starts from a name, not from a model file; `smidgen models` lists all"
        )
    families.family_of(model)
    plan = recipe(recipe_name) if recipe_name else None
    if weights is not None:
        find(model, weights)
    open_dataset(data, group_by=options["group_by"])  # what torch need not be loaded for is refused here
    asked = job(data, **options)
    from smidgen.run import train_one
    from smidgen.weights import fetch

    def build(material: Material) -> Network:
        return families.network(
            model,
            num_classes=len(material.dataset.classes),
            c_in=material.channels,
            resolution=material.resolution,
        )

    start = None
    if weights is not None:
        start = find(model, weights)
        with progress(f"fetching {model}") as report:
            fetch(start, report)
    finish(lambda watch: train_one(asked, start or build, plan, watch), as_json, profile)
