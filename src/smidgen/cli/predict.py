"""`smidgen predict`: what is on these pictures?"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from smidgen import gate, native, weights
from smidgen.cli.output import progress, say
from smidgen.cli.running import require_torch
from smidgen.cli.targets import csv_option, csv_table, require_table
from smidgen.engine import Engine
from smidgen.predict import Prediction, Predictor, pictures_in, require_sensible
from smidgen.spec import DataError, PictureError, SmidgenError

if TYPE_CHECKING:
    from smidgen.weights import Progress

__all__ = ["command"]

STDIN = "-"
COLUMNS = ("picture", "class", "probability", "none_of_these")


@click.command("predict")
@click.argument("model", metavar="MODEL")
@click.argument("pictures", nargs=-1, required=True)
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="Answers for each picture.")
@csv_option(help="Write a table instead of lines")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end with NUL, as of find -print0.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Pictures at once; default: 64, fewer for large networks.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Most processor threads; default: the cores that there are.",
)
@click.option(
    "--engine",
    type=click.Choice(["smidgen", "torch"]),
    default="smidgen",
    show_default=True,
    help="What runs the network.",
)
def command(
    model: str,
    pictures: tuple[str, ...],
    top: int,
    csv_file: str | None,
    as_json: bool,
    null: bool,
    batch_size: int | None,
    threads: int | None,
    engine: str,
) -> int:
    """Name what is on PICTURES with MODEL: a model file or a published name.

    PICTURES are files, folders (searched to any depth), or - for a list of paths on standard input.
    Those that cannot be read are reported at the end, with exit code 1; the rest is done.
    """
    require_table(csv_file, TABLE, as_json, [model])
    named = _named(pictures, null, csv_file)
    with progress(f"fetching {model}") as report:
        predictor = _on_torch(model, threads, report) if engine == "torch" else _open(model, threads, report)
    top = min(top, predictor.network.num_classes)
    # A progress bar takes sys.stdout over and would send what is printed to its own stream.
    out, start = sys.stdout, time.perf_counter()
    rows_only = csv_file is not None and not as_json
    with csv_table(csv_file, _columns(top), TABLE) as write, _bar(csv_file, rows_only) as report:
        names, paths = itertools.tee(named)
        answers = predictor.stream(paths, top=top, batch_size=batch_size, threads=threads)
        done = failed = 0
        for name, answer in zip(names, answers, strict=True):
            done += 1
            if isinstance(answer, PictureError):
                named.bad.append(str(answer))
                failed += 1
            else:
                write(_row(name, answer, predictor))
                if not rows_only:
                    click.echo(
                        _json(name, answer, predictor) if as_json else _line(name, answer, predictor), out
                    )
            if named.total is not None:
                report(done, named.total)
        named.require_some()
    for line in named.bad:
        say(_printable(line), err=True)
    if failed:
        say(f"{failed:,} of {done:,} pictures could not be read", err=True)
    if (rows_only and csv_file != STDIN) or sys.stderr.isatty():  # where stdout is not the news already
        _say_speed(done - failed, time.perf_counter() - start)
    return 1 if named.bad else 0


# ── which model, and what runs it ────────────────────────────────────────────────────────────────────


def _open(model: str, threads: int | None, report: Progress) -> Predictor:
    """A model file or a published name, run by the engine."""
    file = weights.open_model(model, report, download=True)
    require_sensible(file.network, model)
    if reason := native.missing():
        say(f"{reason}; the slow interpreter runs instead", err=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it says what we have just said
        return Predictor(file.network, Engine(file, threads), file.provenance)


def _on_torch(model: str, threads: int | None, report: Progress) -> Predictor:
    weights.require_model(model)
    require_torch("--engine torch")
    from smidgen.train.predict import open_predictor

    return open_predictor(model, report, threads=threads)


# ── which pictures ───────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Named:
    """The pictures that were named, one path after another.

    total   how many, None while nobody knows
    exists  whether anything that was named is there
    bad     a line for each that cannot be used
    table   file that will be written: no picture may be the same
    """

    paths: Iterable[str] = ()
    total: int | None = None
    exists: bool = False
    bad: list[str] = field(default_factory=list)
    table: Path | None = None

    def __iter__(self) -> Iterator[str]:
        is_table = gate.same_as(self.table) if self.table else None
        for path in self.paths:
            if is_table and is_table(path):
                raise SmidgenError(f"{self.table}: it is among the pictures; name another file to write")
            self.exists = self.exists or _exists(path)
            yield path

    def require_some(self) -> None:
        """Raise DataError where nothing that was named is there."""
        if not self.exists:
            raise DataError(self.bad[0] if self.bad else "no picture was named on standard input")


def _named(arguments: tuple[str, ...], null: bool, csv_file: str | None) -> _Named:
    """Pictures of the arguments. Raises DataError where none is there; SmidgenError at the table itself."""
    listed = arguments.count(STDIN)
    if listed > 1:
        raise SmidgenError("- stands for standard input, which can be read only once")
    if null and not listed:
        raise SmidgenError("--null is about a list on standard input; name it with -")
    named = _Named(table=None if csv_file in (None, STDIN) else Path(csv_file))
    if listed:
        lines = _list(sys.stdin.buffer, null)
        arguments_and_lines = (
            path for argument in arguments for path in (lines if argument == STDIN else [argument])
        )
        named.paths = pictures_in(arguments_and_lines, named.bad.append, _say_news)
        return named
    paths = list(pictures_in(arguments, named.bad.append, _say_news))
    named.paths, named.total, named.exists = paths, len(paths), any(map(_exists, paths))
    if not named.exists:
        named.bad += [f"{path}: no such file" for path in paths[:1]]
        named.require_some()
    named.paths, named.table = list(named), None  # looked at before any work, and once
    return named


def _list(stream: BinaryIO, null: bool) -> Iterator[str]:
    """Paths on standard input, read as they are wanted."""
    lines: Iterator[bytes] = _records(stream) if null else iter(stream)
    for line in _readable(lines):
        if b"\0" in line:
            raise SmidgenError("the paths on standard input end with NUL; --null reads such a list")
        path = os.fsdecode(line if null else line.rstrip(b"\r\n"))
        if path:
            yield path


def _readable(lines: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from lines
    except OSError as error:
        raise SmidgenError(f"standard input: cannot be read ({error.strerror or error})") from None


def _records(stream: BinaryIO) -> Iterator[bytes]:
    """What stands between NULs."""
    rest = b""
    while block := stream.read(2**16):
        *records, rest = (rest + block).split(b"\0")
        yield from records
    yield rest


def _say_news(line: str) -> None:
    say(_printable(line), err=True)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return True


# ── what is said of them ─────────────────────────────────────────────────────────────────────────────


def _line(name: str, ranked: list[Prediction], predictor: Predictor) -> str:
    answers = ", ".join(f"{answer.name} {answer.probability:.2f}" for answer in ranked)
    doubt = ""
    if predictor.none_of_these(ranked) and predictor.threshold is not None:
        best, threshold = _apart(ranked[0].probability, predictor.threshold)
        doubt = f" (none of these? {best} is below {threshold})"
    return _printable(f"{name}: {answers}{doubt}")


def _apart(low: float, high: float) -> tuple[str, str]:
    """Both numbers with as many decimals as show that they differ, two at least."""
    texts = ((f"{low:.{digits}f}", f"{high:.{digits}f}") for digits in range(2, 18))
    return next((pair for pair in texts if pair[0] != pair[1]), (str(low), str(high)))


def _json(name: str, ranked: list[Prediction], predictor: Predictor) -> str:
    answers = [{"class": answer.name, "probability": answer.probability} for answer in ranked]
    document = {"picture": name, "predictions": answers, "none_of_these": predictor.none_of_these(ranked)}
    return json.dumps(document, ensure_ascii=False)


def _columns(top: int) -> list[str]:
    further = [f"{column}_{rank}" for rank in range(2, top + 1) for column in ("class", "probability")]
    return [*COLUMNS, *further]


TABLE = gate.table(COLUMNS, lambda header: header == _columns((len(header) - len(COLUMNS)) // 2 + 1))


def _row(name: str, ranked: list[Prediction], predictor: Predictor) -> list[str]:
    """A row of the table; where the model knows no threshold, nothing is said of none of these."""
    best, *others = ([answer.name, f"{answer.probability:.6g}"] for answer in ranked)
    doubt = {None: "", True: "yes", False: "no"}[predictor.none_of_these(ranked)]
    return [name, *best, doubt, *itertools.chain.from_iterable(others)]


def _printable(text: str) -> str:
    """One line that steers no terminal, whatever stands in names of files and classes."""
    return "".join("?" if ord(letter) < 32 or 127 <= ord(letter) < 160 else letter for letter in text)


@contextlib.contextmanager
def _bar(csv_file: str | None, rows_only: bool) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr, unless a terminal shows the answers themselves, which say as much."""
    if sys.stdout.isatty() and not (rows_only and csv_file != STDIN):
        yield lambda _done, _total: None
        return
    with progress("predicting") as report:
        yield report


def _say_speed(pictures: int, seconds: float) -> None:
    say(f"{pictures:,} pictures, {pictures / seconds:,.0f} a second", err=True)
