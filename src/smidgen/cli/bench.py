"""`smidgen bench`: how fast is it here, and how fast are others?"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smidgen import gate
from smidgen.cli.output import bytes_text, console, print_json, print_table, say
from smidgen.cli.targets import STDOUT, csv_option, require_table, write_table
from smidgen.machine import cores
from smidgen.spec import DependencyError, SmidgenError, counted
from smidgen.weights import is_path, open_network

if TYPE_CHECKING:
    from smidgen.bench import Comparison, Timing

__all__ = ["command"]

OURS = "smidgen"
COLUMNS = (
    "date", "network", "resolution", "batch", "threads", "rival", "version", "precision", "setting", "calls",
    "median_ms", "p95_ms", "alone_ms", "ratio", "ratio_least", "ratio_most", "images_per_s", "peak_bytes",
    "cold_ms", "library_bytes", "difference", "turns_ms", "processor", "features", "isa", "load", "command",
)  # fmt: skip

TABLE = gate.table(COLUMNS)
NEW_TABLE = gate.Kind(
    "a table without rows", lambda path, head: TABLE.is_ours(path, head) and not _rows(head)
)


@click.command("bench")
@click.argument("model", metavar="MODEL")
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1, 4096),
    default=(1, 16),
    show_default=True,
    metavar="N",
    help="Pictures of a call; may be repeated.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Of every rival; default: this process's cores."
)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns of each rival.")
@click.option(
    "--rival",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="Only this one beside smidgen; may be repeated. Default: all that are installed.",
)
@click.option("--resolution", type=click.IntRange(1), metavar="PIXELS", help="Side of the pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@csv_option(help="Write the figures as a table")
@click.option(
    "--append",
    "append_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add them to the table of an earlier --csv or --append.",
)
@click.option(
    "--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw bars: .png, .svg."
)
def command(
    model: str,
    batches: tuple[int, ...],
    threads: int | None,
    rounds: int,
    wanted: tuple[str, ...],
    resolution: int | None,
    as_json: bool,
    csv_file: str | None,
    append_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measure MODEL, a model file or a name, against other runtimes, all in fp32 on this processor.

    Every rival has a process of its own, which is stopped outside its turn. In a turn 2 calls are discarded
    and 10 timed, fewer where they take more than 0.2 s. A ratio is the rival's median over smidgen's in the
    same round. The weights of a name are drawn at random: speed does not depend on them.
    """
    if append_file is not None and csv_file is not None:
        raise SmidgenError("--csv begins a table and --append goes on with one; give one of them")
    _require_tables(csv_file, append_file, as_json, model)
    if plot_file is not None:
        if plot_file.suffix not in (".png", ".svg"):
            raise SmidgenError(f"{plot_file}: plots are written as .png or .svg")
        gate.require(plot_file, gate.PLOT, [model])
    from smidgen import modelfile
    from smidgen.bench import plot, runner

    if plot_file is not None:
        plot.require_matplotlib()
    names, left_out = _rivals(wanted)
    threads = threads or cores()
    before = runner.machine(threads)
    with tempfile.TemporaryDirectory(prefix="smidgen-bench-") as folder, _news() as news:
        path = _model_file(model, resolution, Path(folder))
        sizes = list(dict.fromkeys(batches))
        bench = runner.Bench(path, modelfile.read(path).network, threads, Path(folder), news)
        comparison = runner.time_rivals(bench, names, sizes, rounds)
    comparison = replace(comparison, left_out={**left_out, **comparison.left_out})
    if csv_file is not None:
        write_table(csv_file, COLUMNS, _table(comparison, before), NEW_TABLE)
    if append_file is not None:
        _append(append_file, _table(comparison, before))
    if plot_file is not None:
        with gate.replacing(plot_file, gate.PLOT) as path:
            plot.plot(comparison, path, plot_file.suffix[1:], _where(before))
    if as_json:
        print_json(_document(comparison, before))
    elif csv_file != STDOUT:
        _tell(comparison, before)


def _require_tables(csv_file: str | None, append_file: Path | None, as_json: bool, model: str) -> None:
    """Refuse before the measuring a table that cannot be written, or that holds earlier measurements."""
    if csv_file not in (None, STDOUT):
        _require_no_rows(Path(csv_file))
    require_table(csv_file, NEW_TABLE, as_json, [model])
    if append_file is not None:
        gate.require(append_file, TABLE, [model])
        _require_utf8(append_file)


def _require_no_rows(path: Path) -> None:
    if path.is_file() and os.access(path, os.R_OK):
        found = path.read_bytes()
        if TABLE.is_ours(path, found) and (rows := _rows(found)):
            told = f"{path} holds {counted(rows, 'row')} of other measurements"
            raise SmidgenError(
                f"{told}; --append {shlex.quote(str(path))} adds to them, or name another file"
            )


def _require_utf8(path: Path) -> None:
    try:
        if path.exists():
            path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SmidgenError(f"{path}: byte {error.start + 1:,} is no UTF-8; save the table as UTF-8") from None


def _rows(table: bytes) -> int:
    """Lines below the header that hold anything."""
    return sum(bool(line.strip()) for line in table.splitlines()[1:])


def _rivals(wanted: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Who takes part, and why others do not. Raises DependencyError for one that was asked for."""
    from smidgen.bench import rivals

    names = [name for name in dict.fromkeys(wanted or rivals.names()) if name != OURS]
    reasons = {name: rivals.load(name).available() for name in (OURS, *names)}
    for name in (OURS, *wanted):
        if reasons[name]:
            raise DependencyError(f"{name}: {reasons[name]}")
    return [name for name in names if not reasons[name]], {name: why for name, why in reasons.items() if why}


def _model_file(model: str, resolution: int | None, folder: Path) -> Path:
    """The file itself, or one with another resolution or drawn weights."""
    from smidgen import modelfile
    from smidgen.program import draw_weights

    if is_path(model):
        file = modelfile.read(model)
        if resolution is None:
            return Path(model)
        shape = file.network.input._replace(height=resolution, width=resolution)
        file = replace(file, network=replace(file.network, input=shape))
        file.network.cost()  # a network that cannot take this size says so here
    else:
        network = open_network(model, resolution=resolution)
        file = modelfile.ModelFile(network, draw_weights(network))
    path = folder / "model.safetensors"
    modelfile.write(path, file)
    return path


@contextlib.contextmanager
def _news() -> Iterator[Callable[[str], None]]:
    """What is being done now, on a terminal's stderr; elsewhere silent."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    with console(err=True).status("starting") as status:
        yield status.update


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────


def _tell(comparison: Comparison, before: dict[str, Any]) -> None:
    network = comparison.network
    say(
        f"{network.name}, {network.input} pictures, fp32, {comparison.threads} threads; median milliseconds",
        "bold",
    )
    say(_where(before))
    for batch in comparison.batches:
        say()
        say(f"batch {batch}", "bold")
        columns = ("rival", "ms", "p95", "alone", "× ours (least–most)", "images/s", "memory", "setting")
        print_table(columns, [_speed(row) for row in comparison.of_batch(batch)])
    say()
    heads = ("rival", "version", "precision", "cold start", "× ours", "library", "differs by")
    first = {row.rival: row for row in reversed(comparison.rows)}
    print_table(heads, [_self(row, first[OURS], comparison) for row in reversed(first.values())], left=3)
    say()
    for line in (*_notes(comparison), f"load average {_load(before)} before, {_load()} after"):
        say(line)


def _speed(row: Timing) -> list[str]:
    numbers = (f"{ms:.4g}" for ms in (row.median, row.p95, row.alone_ms))
    ratios = row.ratios
    told = (
        "" if row.rival == OURS else f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    )
    marked = f"{row.rival} {'!' * row.interferes}{'*' * row.fewer}".rstrip()
    return [
        marked,
        *numbers,
        told,
        f"{row.pictures_per_second:,.0f}",
        bytes_text(row.peak_bytes),
        row.setting,
    ]


def _self(row: Timing, ours: Timing, comparison: Comparison) -> list[str]:
    cold, times = "", ""
    if row.cold_ms is not None and ours.cold_ms is not None:
        cold, times = f"{row.cold_ms:,.0f} ms", f"{row.cold_ms / ours.cold_ms:.2f}"
    difference = max(other.difference for other in comparison.rows if other.rival == row.rival)
    differs = "" if row is ours else f"{difference:.0e}"
    return [row.rival, row.version, row.precision, cold, times, bytes_text(row.library_bytes), differs]


def _notes(comparison: Comparison) -> Iterator[str]:
    if any(row.interferes for row in comparison.rows):
        yield "! turns and alone differ by more than 10 %: something interferes, and its figures are void"
    for row in comparison.rows:
        if row.fewer:
            calls = f"{len(row.times) / len(row.turns):.3g} calls a turn"
            yield f"* {row.rival}, batch {row.batch}: {calls}, since one takes {row.median:,.0f} ms"
    for name, why in comparison.left_out.items():
        yield f"left out: {name} ({why.removeprefix(f'{name}: ')})"
    yield "memory: most that the process held; library: native code that it loaded"
    yield "differs by: largest difference from smidgen's outputs, over the largest of these"


def _where(found: dict[str, Any]) -> str:
    features = ", ".join(found["features"])
    versions = f"Python {found['python']}, numpy {found['numpy']}"
    return f"{found['processor']}, {found['cores']} cores ({features}); {versions}; kernels: {found['isa']}"


def _load(found: dict[str, Any] | None = None) -> str:
    return f"{found['load'][0] if found else os.getloadavg()[0]:.2f}"


def _document(comparison: Comparison, before: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {name: value for name, value in _figures(row).items() if name != "turns_ms"}
        | {"turns_ms": row.turns, "alone_turns_ms": row.alone, "cold_starts_ms": row.cold}
        | {"interferes": row.interferes}
        for row in comparison.rows
    ]
    network = {"network": comparison.network.name, "input": list(comparison.network.input[:3])}
    after = {"load_after": round(os.getloadavg()[0], 2)}
    return {**network, "machine": {**before, **after}, "rows": rows, "left_out": dict(comparison.left_out)}


def _figures(row: Timing) -> dict[str, Any]:
    """What CSV and JSON say of one row."""
    return {
        "rival": row.rival,
        "version": row.version,
        "precision": row.precision,
        "batch": row.batch,
        "setting": row.setting,
        "calls": len(row.times),
        "median_ms": round(row.median, 4),
        "p95_ms": round(row.p95, 4),
        "alone_ms": round(row.alone_ms, 4),
        "ratio": round(statistics.median(row.ratios), 4),
        "ratio_least": round(min(row.ratios), 4),
        "ratio_most": round(max(row.ratios), 4),
        "images_per_s": round(row.pictures_per_second, 2),
        "peak_bytes": row.peak_bytes,
        "cold_ms": None if row.cold_ms is None else round(row.cold_ms, 1),
        "library_bytes": row.library_bytes,
        "difference": float(f"{row.difference:.3g}"),
        "turns_ms": " ".join(f"{statistics.median(turn):.4f}" for turn in row.turns),
    }


def _table(comparison: Comparison, before: dict[str, Any]) -> list[list[Any]]:
    """A row for each rival and batch."""
    shared = {
        "date": datetime.now(UTC).date(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "network": comparison.network.name,
        "resolution": comparison.network.input.height,
        "threads": comparison.threads,
        "processor": before["processor"],
        "features": " ".join(before["features"]),
        "isa": before["isa"],
        "load": before["load"][0],
    }
    rows = ({**shared, **_figures(row)} for row in comparison.rows)
    return [[row[column] for column in COLUMNS] for row in rows]


def _append(path: Path, rows: list[list[Any]]) -> None:
    """Add rows to a table, which begins here where the file is new; it has all of them or none.

    What was there stays as it is, byte by byte; the lines end as its first one does.
    """
    with _alone_in(Path(os.path.realpath(path)).parent), gate.replacing(path, TABLE) as temporary:
        before = path.read_bytes() if path.exists() else b""
        end = "\r\n" if before.partition(b"\n")[0].endswith(b"\r") else "\n"
        added = io.StringIO()
        if before and not before.endswith(b"\n"):
            added.write(end)
        csv.writer(added, lineterminator=end).writerows(rows if before else [COLUMNS, *rows])
        temporary.write_bytes(before + added.getvalue().encode(errors="backslashreplace"))
    say(f"{path}: {counted(len(rows), 'row')} added", err=True)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else adds to a table in a folder: of two at once, one would lose its rows."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system knows locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
