"""What the commands that train share: options, news on the terminal, and the closing summary."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from smidgen.cli.output import bytes_text, console, print_json, print_table, say
from smidgen.cli.watching import Quiet, Terminal
from smidgen.data import place_for, require_place
from smidgen.graph import Aspect
from smidgen.report.formats import plain
from smidgen.report.limits import sentence
from smidgen.report.prose import cautions, disturbed, interval, prediction, worth
from smidgen.spec import LATENCY, UNITS, DependencyError, Number, SmidgenError, counted

if TYPE_CHECKING:
    from smidgen.report import Report
    from smidgen.run import Fitted, Job
    from smidgen.watch import Watch

__all__ = [
    "ASPECT",
    "RESOLUTION",
    "SEED",
    "before_training",
    "contest_options",
    "finish",
    "job",
    "refuse_processes",
    "require_torch",
    "run_options",
    "run_place",
    "summarise",
]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Within(click.IntRange):
    """A whole number, refused before torch is loaded in the words that it would be refused in later."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Raises SmidgenError where it is out of range."""
        number: int = click.INT.convert(value, param, ctx)
        assert param is not None
        assert self.min is not None
        assert self.max is not None
        if not self.min <= number <= self.max:
            raise SmidgenError(f"{param.name}={number} is outside {self.min}..{self.max}")
        return number


ASPECT = click.option(
    "--aspect",
    type=click.Choice(get_args(Aspect)),
    help="How pictures become squares: the middle cut out, both sides resized, or the rest filled; default: "
    "by the pictures, and told.",
)
RESOLUTION = Within(1, 16_384)
SEED = Within(0, 2**63 - 1)


class Duration(click.ParamType[float]):
    """Seconds, as people write them: 90, 90s, 10m, 1.5h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of the text."""
        number, unit = value.strip(), 1.0
        if number and number[-1] in _UNITS:
            number, unit = number[:-1], _UNITS[number[-1]]
        try:
            seconds = float(number) * unit
        except ValueError:
            self.fail(f"'{value}' is no time; write 90s, 10m or 2h", param, ctx)
        if not 0 < seconds < math.inf:
            self.fail(f"'{value}' must be above 0", param, ctx)
        return seconds


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def run_options(function: Decorated) -> Decorated:
    """Add the options that `fit` and `train` share."""
    for option in reversed(
        (
            click.option(
                "--resolution",
                type=RESOLUTION,
                metavar="PIXELS",
                help="Side of the pictures as networks see them.",
            ),
            ASPECT,
            click.option(
                "--time",
                "time_limit",
                type=Duration(),
                metavar="TIME",
                help="Of the whole job: 90s, 10m, 2h; it decides how many epochs there are.",
            ),
            click.option("--epochs", type=click.IntRange(1), help="Epochs of the full training."),
            click.option(
                "--seed",
                type=SEED,
                default=0,
                metavar="N",
                show_default=True,
                help="Decides split, order, augmentation, weights.",
            ),
            click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read."),
            click.option(
                "--group-by",
                metavar="REGEX",
                help="Pictures whose names match alike stay in one part, as frames of one scene should.",
            ),
            click.option("--no-flip", is_flag=True, help="Mirror no picture in training."),
            click.option("--class-weights", is_flag=True, help="Let rare classes count like common ones."),
            click.option(
                "--out", type=click.Path(path_type=Path), metavar="RUN", help="Run folder to create."
            ),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Print the report as JSON, alone on standard output.",
            ),
            click.option(
                "--threads",
                type=click.IntRange(1, 1024),
                help="Processor threads of a training; default: one for small steps, all for large ones.",
            ),
            click.option(
                "--train-on",
                type=click.Choice(["cpu", "cuda"]),
                help="Default: cuda if there is one.",
            ),
            click.option(
                "--checkpoint-every",
                "every",
                type=click.FloatRange(0, min_open=True),
                default=30.0,
                show_default=True,
                metavar="SECONDS",
                help="How much work a kill may cost.",
            ),
            click.option("--profile", is_flag=True, help="Say where the time went."),
        )
    ):
        function = option(function)
    return function


def contest_options(function: Decorated) -> Decorated:
    """Add the options of commands in which candidates compete."""
    for option in (
        click.option(
            "--from-scratch",
            is_flag=True,
            help="Use no published weights, neither to start from nor to learn from.",
        ),
        click.option(
            "--download",
            is_flag=True,
            help="Leave to fetch published weights that are not on this machine.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 1024),
            help="Candidates to train at the same time; default: one a processor where steps are small.",
        ),
    ):
        function = option(function)
    return function


def refuse_processes(command: str) -> None:
    """Raise SmidgenError under torchrun: several processes would do the same job several times."""
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise SmidgenError(f"`smidgen {command}` runs in one process; torchrun is for `smidgen train`")


def require_torch(what: str = "this command", *, training: bool = False) -> None:
    """Raise DependencyError, with what to install, unless torch is there (and what training needs).

    what     needs it
    """
    needed = ("torch", "kornia", "matplotlib") if training else ("torch",)
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise DependencyError(f"{what} needs {' and '.join(missing)}: pip install 'smidgen[train]'")


def before_training() -> None:
    """What must be so before torch is loaded.

    Raises   DependencyError where training lacks a package.
    """
    require_torch(training=True)
    # So many looks, a fraction of a millisecond, then threads that wait for each other sleep. With the usual
    # ten times as many, two threads are several times slower than one where others keep the cores busy.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def job(data: str, *, out: Path | None, base: Path | None = None, **options: Any) -> Job:
    """Job of a command's arguments, with the command line as it was typed.

    Raises   SmidgenError where its run folder cannot be made, or would lie inside the data;
             DependencyError where training lacks a package.
    """
    base = run_place(data, out, base)
    before_training()
    from smidgen.run import Job

    command = shlex.join(["smidgen", *sys.argv[1:]])
    return Job(data=data, command=command, out=out, base=base, **options)


def run_place(data: str, out: Path | None, base: Path | None, ending: str = "") -> Path | None:
    """BASE of the run folders BASE-1, BASE-2, …; said where it is beside the data instead of in them.

    base     default: runs/ and the data's name, for which None stands where it is outside the data
    Raises   SmidgenError where nothing can be written there.
    """
    wanted = base or Path("runs", Path(os.path.realpath(data)).name + ending)
    place = place_for(wanted, data) if out is None else wanted
    if _leads():  # of torchrun's processes, the first makes the folder
        require_place(out, place, data)
        if place != wanted:
            say(f"{wanted.parent} would lie inside the data; the run goes beside them: {place}-1", err=True)
    return base if place == wanted else place


def summarise(fitted: Fitted) -> None:
    """Accuracy, cost, latency, files, and the next commands."""
    report, folder = fitted.report, fitted.folder
    say(f"{fitted.network.name}", "bold")
    _accuracy(report)
    _costs(report)
    _latency(report)
    say(f"  report        {folder / 'report.html'}")
    say("next", "bold")
    for command in report["next_commands"] or []:
        say(f"  {command}")


def _accuracy(report: Report) -> None:
    """The accuracy, and what has to stand beside it lest it flatter."""
    test = report["test"]
    if test is None:
        return
    found, (low, high) = worth(report), interval(test)
    beside = f", balanced accuracy {100 * found.balanced:.2f} %" if found and found.misleading else ""
    style = "red" if found and found.at_chance else "yellow" if found and found.doubtful else "green"
    on = f"on {counted(test['n'], 'picture')} never seen before"
    say(f"  accuracy      {100 * test['accuracy']:.2f} % {on}{beside}", style)
    say(f"                95 % interval {100 * low:.1f} to {100 * high:.1f} %")
    for told in cautions(report):
        _say_below(told, style)


def _costs(report: Report) -> None:
    """What the network takes, and how it stands to what was allowed; milliseconds come with the latency."""
    rows = {row["unit"]: row for row in report["limits"] or []}
    counted_units = [unit for unit in UNITS.values() if not unit.needs_device]
    for unit in sorted(counted_units, key=lambda unit: unit.supposed):
        value = {**report["cost"]}.get(unit.name)
        if (row := rows.get(unit.name)) is not None:
            say(f"  {unit.label:<13} {plain(sentence(row))}", _STYLES[row["holds"]])
        elif isinstance(value, int) and not unit.supposed:
            say(f"  {unit.label:<13} {bytes_text(value) if unit.number is Number.BYTES else f'{value:,}'}")


_STYLES = {True: "", False: "red", None: "yellow"}  # of a limit that holds, does not hold, or may hold


def _latency(report: Report) -> None:
    """Milliseconds as measured, as allowed and as predicted."""
    measured = report["measured"]
    latency = measured["latency_ms"] if measured else None
    if latency is not None:
        spread = f"median, {latency['p95']:.2f} ms at the 95th percentile" if latency["p95"] else "median"
        say(f"  latency       {latency['value']:.2f} ms a picture ({spread})")
        say(f"                {latency['device']}, {counted(latency['threads'] or 1, 'thread')}")
        if latency["doubt"]:
            _say_below(disturbed(latency).removeprefix("; "), "yellow")
    if measured and measured["note"]:
        say(f"  not measured  {measured['note']}")
    rows = [row for row in report["limits"] or [] if row["unit"] == LATENCY.name]
    for row in rows:
        say(f"  latency       {plain(sentence(row))}", _STYLES[row["holds"]])
    if (told := prediction(report)) and all(row["known"] == "measured" for row in rows):
        _say_below(told)


def _say_below(text: str, style: str = "") -> None:
    """A sentence under what it belongs to, as wide as the terminal is."""
    margin = " " * 16
    for line in textwrap.wrap(plain(text), max(40, console().width - len(margin)), break_on_hyphens=False):
        say(margin + line, style)


def finish(work: Callable[[Watch], Fitted], as_json: bool, profile: bool = False) -> None:
    """Do the work with news on the terminal and a summary at the end, or in silence with JSON at the end."""
    logging.getLogger("smidgen").setLevel(logging.WARNING)
    fitted = work(Terminal() if _leads() and not as_json else Quiet())
    if not _leads():
        return
    if as_json:
        print_json(fitted.report)
    else:
        summarise(fitted)
    if profile:
        _profile(fitted.seconds, err=as_json)


def _leads() -> bool:
    """Whether this is the first of torchrun's processes, or the only one there is."""
    return os.environ.get("RANK", "0") == "0"


def _profile(seconds: Mapping[str, float], err: bool = False) -> None:
    """Where the time of the training went, all candidates together."""
    total = sum(seconds.values()) or 1.0
    rows = [
        [stage, f"{spent:.1f}", f"{100 * spent / total:.1f}"]
        for stage, spent in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    print_table(("training", "seconds", "%"), rows, err=err)
