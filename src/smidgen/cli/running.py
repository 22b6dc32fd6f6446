"""What the commands that train share: options, news on the terminal, and the closing summary."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smidgen.cli.output import bytes_text, print_json, progress, say
from smidgen.spec import DependencyError

if TYPE_CHECKING:
    from smidgen.search import Fitted, Job
    from smidgen.train.watch import Watch

__all__ = ["finish", "job", "require_torch", "run_options", "summarise", "terminal_watch"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def run_options(function: Decorated) -> Decorated:
    """Add the options that `fit` and `train` share."""
    for option in reversed(
        (
            click.option(
                "--resolution", type=int, metavar="PIXELS", help="Side of the pictures as networks see them."
            ),
            click.option("--epochs", type=click.IntRange(1), help="Epochs of the full training."),
            click.option(
                "--seed", default=0, show_default=True, help="Decides split, order, augmentation, weights."
            ),
            click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read."),
            click.option(
                "--out", type=click.Path(path_type=Path), metavar="RUN", help="Run folder to create."
            ),
            click.option(
                "--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else."
            ),
            click.option(
                "--threads",
                type=click.IntRange(1, 1024),
                help="Processor threads; default: one for small steps.",
            ),
        )
    ):
        function = option(function)
    return function


def require_torch(*, training: bool = False) -> None:
    """Raise DependencyError, with what to install, unless torch is there (and what training needs)."""
    needed = ("torch", "kornia", "matplotlib") if training else ("torch",)
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise DependencyError(f"this command needs {' and '.join(missing)}: pip install 'smidgen[train]'")


def job(data: str, **options: Any) -> Job:
    """Job of a command's arguments, with the command line as it was typed."""
    require_torch(training=True)
    from smidgen.search import Job

    return Job(data=data, command=shlex.join(["smidgen", *sys.argv[1:]]), **options)


def terminal_watch() -> Watch:
    """Watch that prints: headings, news, and bars with the time left on a terminal."""
    from smidgen.train.watch import Watch

    class Terminal(Watch):
        def say(self, text: str) -> None:
            say(f"  {text}")

        def heading(self, text: str) -> None:
            say(text, "bold")

        @contextlib.contextmanager
        def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
            with progress(label) as report:
                yield report

    logging.getLogger("smidgen").setLevel(logging.WARNING)
    return Terminal()


def summarise(fitted: Fitted) -> None:
    """Accuracy, cost, latency, files, and the next commands."""
    report, folder = fitted.report, fitted.folder
    say(f"{fitted.network.name}", "bold")
    test = report["test"]
    if test is not None and test["interval"] is not None:
        low, high = test["interval"]
        say(
            f"  accuracy      {100 * test['accuracy']:.2f} % on {test['n']} pictures never seen before",
            "green",
        )
        say(f"                95 % interval {100 * low:.1f} to {100 * high:.1f} %")
    _costs(fitted)
    latency = report["measured"]["latency_ms"] if report["measured"] else None
    if latency is not None:
        threads = "1 thread" if latency["threads"] == 1 else f"{latency['threads']} threads"
        spread = f"median, {latency['p95']:.2f} ms at the 95th percentile" if latency["p95"] else "median"
        say(f"  latency       {latency['value']:.2f} ms a picture ({spread})")
        say(f"                {latency['device']}, {threads}")
    say(f"  report        {folder / 'report.html'}")
    say("next", "bold")
    for command in report["next_commands"] or []:
        say(f"  {command}")


def _costs(fitted: Fitted) -> None:
    cost, budget = fitted.report["cost"], fitted.report["budget"] or {}
    for label, unit in (
        ("params", "params"),
        ("MACs", "macs"),
        ("model file", "weight_bytes"),
        ("peak memory", "peak_bytes"),
    ):
        value = cost[unit]  # type: ignore[literal-required]
        if value is not None:
            shown = bytes_text(value) if unit.endswith("bytes") else f"{value:,}"
            limit = f" of {budget[unit]:,} allowed" if unit in budget else ""
            say(f"  {label:<13} {shown}{limit}")


def finish(work: Callable[[Watch], Fitted], as_json: bool) -> None:
    """Do the work with news on the terminal and a summary at the end, or in silence with JSON at the end."""
    from smidgen.train.watch import Watch

    if as_json:
        print_json(work(Watch()).report)
    else:
        summarise(work(terminal_watch()))
