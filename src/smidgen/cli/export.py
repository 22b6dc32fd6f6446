"""`smidgen export`: a model for other people's runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from smidgen import weights
from smidgen.cli.output import bytes_text, print_json, progress, say
from smidgen.cli.targets import output_option
from smidgen.export import targets, writing
from smidgen.export.depthwise import ShiftForm, has_shifts
from smidgen.export.targets import Options

__all__ = ["command"]


class _Command(click.Command):
    """A command whose help lists the targets, as they are found."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Targets"):
            formatter.write_dl([(name, targets.load(name).SUMMARY) for name in targets.names()])


@click.command("export", cls=_Command)
@click.argument("model", metavar="MODEL")
@click.option("--to", "target", required=True, metavar="TARGET", help="What to write; see below.")
@output_option(required=False, help="File to write; default: beside the model, with the target's suffix.")
@click.option(
    "--shift",
    type=click.Choice(get_args(ShiftForm)),
    help="What becomes of shifts, which other runtimes lack: slices of the padded map (the default), or "
    "depthwise convolutions.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Pictures at once; default: any number, where the target can.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str, target: str, output: Path | None, shift: ShiftForm | None, batch: int | None, as_json: bool
) -> None:
    """Write MODEL, a model file or a published name, for another runtime. torch is not needed.

    Names, shapes, preprocessing and classes go into the file, or beside it. How to run it: docs/export.md.
    """
    options, first = Options(shift, batch), targets.load(target).SUFFIXES[0]
    targets.require_options(target, options)
    weights.require_model(model)
    path = output or _beside(model, first)
    writing.require(target, path, options, [model])
    with progress(f"fetching {model}") as report:
        file = weights.open_model(model, report, download=True)
    if shift is not None and not has_shifts(file.network):
        say(f"{model} has no shifts: --shift {shift} changes nothing", err=True)
    written = writing.write(file.network, file.tensors, target, path, options, [model])
    usage = targets.load(target).usage(file.network, options)
    if as_json:
        sizes = [{"path": str(path), "bytes": path.stat().st_size} for path in written]
        print_json({"target": target, "files": sizes, **usage})
    else:
        _tell(written, usage)


def _beside(model: str, suffix: str) -> Path:
    """Beside a model file; for a name, here."""
    if weights.is_path(model):
        return Path(model).with_name(f"{Path(model).stem}{suffix}")
    return Path(f"{model}{suffix}")


def _tell(written: list[Path], usage: dict[str, Any]) -> None:
    for path in written:
        say(f"{path}: {bytes_text(path.stat().st_size)}")
    how = usage["preprocess"]
    mean, std = (", ".join(f"{part:g}" for part in how[key]) for key in ("subtract_mean", "divide_by_std"))
    say(f"  input    {_value(usage['input'])}")
    say(f"  output   {_value(usage['output'])}, before softmax")
    say(f"  picture  {how['colour']}, {_sizes(how)}")
    say(f"  numbers  divided by {how['divide_by']}, less {mean}, divided by {std}")


def _sizes(how: dict[str, Any]) -> str:
    """How a picture comes to the network's size."""
    filtered = f"({how['interpolation']})"
    if "squash_to" in how:
        return f"squashed to {_by(how['squash_to'])} {filtered}"
    if "pad_to" in how:
        colour = ", ".join(map(str, how["fill"]))
        return f"fitted into {_by(how['pad_to'])} {filtered}, the rest filled with {colour}"
    return f"shorter side {how['resize_shorter_side']} px {filtered}, centre {_by(how['centre_crop'])}"


def _by(size: list[int]) -> str:
    return "x".join(map(str, size))


def _value(value: dict[str, Any]) -> str:
    return f"{value['name']}, {value['type']}[{', '.join(map(str, value['shape']))}]"
