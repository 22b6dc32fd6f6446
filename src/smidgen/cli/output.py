"""What commands print with: Rich where a person looks, plain lines where not, JSON for machines."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from smidgen.cli.pace import Pace

__all__ = ["bytes_text", "console", "count_text", "print_json", "print_table", "progress", "say"]

UNCUT = 4000  # columns of what is not to be cut, whatever the terminal's width


def console(*, err: bool = False) -> Console:
    """Console on stdout or stderr as it is now (tests and pipes replace them)."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else UNCUT
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def say(text: str = "", style: str = "", *, err: bool = False) -> None:
    """One line, however narrow the terminal, so that it can be copied; `style` is seen on a terminal only."""
    console(err=err).print(Text(text, style=style), soft_wrap=True)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, err: bool = False
) -> None:
    """Aligned columns on stdout, or on stderr; the first `left` of them flush left, the others right.

    A narrow terminal wraps the lines: names and numbers stand there whole, to be read and copied.
    """
    terminal = (sys.stderr if err else sys.stdout).isatty()
    table = Table(
        box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold", collapse_padding=True
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out = console()
    out.width = UNCUT
    with out.capture() as capture:
        out.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")), err=err)


def print_json(value: Any) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Bar with time left on a terminal's stderr; elsewhere a line a minute. Yields report(done, total)."""
    if not sys.stderr.isatty():
        yield Pace(label, functools.partial(say, err=True))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def count_text(number: int) -> str:
    """A count as people say it: 5.289 M, 386 k, 864."""
    for factor, suffix in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= factor:
            return f"{number / factor:.4g}{suffix}"
    return str(number)


def bytes_text(number: int) -> str:
    """A size as people say it: 21.3 MB, 6.02 KB (powers of 1000)."""
    return count_text(number).replace("k", "K") + ("B" if number >= 1000 else " B")
