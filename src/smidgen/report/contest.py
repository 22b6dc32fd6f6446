"""The section on the networks that were trained against each other, and on how they were narrowed down."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from smidgen.report import formats, scatter
from smidgen.report.formats import DASH
from smidgen.report.markup import Html, join, tag
from smidgen.report.parts import number_cells, section, table
from smidgen.report.scatter import cost
from smidgen.report.schema import Candidate, Contest, Report, Rung
from smidgen.spec import UNITS, counted

__all__ = ["candidates"]

_ROWS = 12  # of more candidates the best are shown, the rest folded away
_ALWAYS = ("params", "macs")  # are drawn; other units where the budget limits them


def candidates(report: Report) -> Html:
    """The candidates: accuracy against cost, what each took, and what the rungs of the contest said."""
    rows = report["candidates"] or []
    if not rows:
        return section(
            "candidates", "Candidates", "", tag("p", "One network was trained, no others beside it.")
        )
    ranked = sorted(rows, key=lambda row: (not row["chosen"], -(row["val_accuracy"] or 0)))
    families = len({row["family"] for row in rows})
    note = (
        f"{counted(len(rows), 'network')} from {counted(families, 'family', 'families')}, "
        "compared on validation pictures that none was trained on."
    )
    parts = (_drawings(report, rows), _listed(ranked), _rungs(report["contest"], ranked))
    return section("candidates", "Candidates", note, *parts)


def _drawings(report: Report, rows: list[Candidate]) -> Html:
    """Accuracy against both costs that every candidate has and those that are limited, with the budget."""
    if all(row["val_accuracy"] is None for row in rows):
        return Html("")
    limits = report["budget"] or {}
    further = [unit for unit in _further() if unit in limits and any(cost(row, unit) for row in rows)]
    figures = [
        tag(
            "figure",
            tag("h3", f"Validation accuracy by {formats.title(unit).lower()}"),
            Html(scatter.candidates(rows, limits.get(unit), unit)),
        )
        for unit in (*_ALWAYS, *further)
    ]
    key = [tag("span", f"{sign} {family}") for family, sign in scatter.family_signs(rows).items()]
    return join(tag("div", *figures, class_="pair"), tag("p", *key, class_="key"))


def _further() -> list[str]:
    return [name for name in UNITS if name not in _ALWAYS]


_Column: TypeAlias = tuple[str, Callable[[Candidate], str]]


def _columns() -> tuple[_Column, ...]:
    """Head and cell of every column that counts or measures."""
    return (
        ("Validation", lambda row: tag("span", formats.percent(row["val_accuracy"]), class_="best")),
        (formats.title("params"), lambda row: formats.count(row["params"])),
        (formats.title("macs"), lambda row: formats.compact(row["macs"])),
        *(_amounts(unit) for unit in _further() if not UNITS[unit].supposed),
        ("Epochs", lambda row: formats.count(row["epochs"])),
        ("Time", lambda row: formats.duration(row["seconds"])),
    )


def _amounts(unit: str) -> _Column:
    return formats.title(unit), lambda row: formats.amount(unit, cost(row, unit))


def _row(row: Candidate, cells: Iterable[Html]) -> Html:
    pieces = re.split(r"(?<=[@_,])", row["name"])  # where a line may end
    name = [pieces[0], *(part for piece in pieces[1:] for part in (tag("wbr"), piece))]
    mark = [" ", tag("span", "chosen", class_="mark")] if row["chosen"] else []
    return tag("tr", tag("td", *name, *mark, class_="name"), *cells, class_="chosen" if mark else None)


def _listed(rows: list[Candidate]) -> Html:
    """A table of the best candidates, and a folded one of the others; empty columns are left out."""
    known = [(head, cell) for head, cell in _columns() if any(cell(row) != DASH for row in rows)]
    heads = ("Network", *(head for head, _ in known))
    lines = [_row(row, number_cells(cell(row) for _, cell in known)) for row in rows]
    first = table(heads, lines[:_ROWS])
    if len(rows) <= _ROWS:
        return first
    more = tag("summary", f"The other {counted(len(rows) - _ROWS, 'network')}")
    return join(first, tag("details", more, table(heads, lines[_ROWS:])))


def _rungs(contest: Contest | None, ranked: list[Candidate]) -> Html:
    """A column for every rung: what each candidate had reached, how many took part, how the order held."""
    rungs = contest["rungs"] if contest else []
    count = max([len(rungs), *(len(row["rungs"] or []) for row in ranked)])
    if not count:
        return Html("")
    heads = ("Validation at", *(_named(number, ranked) for number in range(count)))
    by_length = sorted(ranked, key=lambda row: (not row["chosen"], -len(row["rungs"] or [])))
    rows = [_row(row, number_cells(_reached(row["rungs"] or [], count))) for row in by_length[:_ROWS]]
    for name, cells in (
        ("Networks", [formats.count(rung["candidates"]) for rung in rungs]),
        ("Spearman", [formats.decimal(rung["spearman"]) for rung in rungs]),
    ):
        if cells:
            rows.append(tag("tr", tag("td", name, class_="name"), *number_cells(cells), class_="sum"))
    return tag(
        "div",
        tag("h3", "Rungs"),
        tag("p", _told(contest), class_="quiet"),
        table(heads, rows),
        class_="rungs",
    )


def _named(rung: int, ranked: list[Candidate]) -> str:
    """The epochs that the candidates had by then; slower ones have fewer where the time is limited."""
    epochs = [row["rungs"][rung]["epochs"] for row in ranked if row["rungs"] and len(row["rungs"]) > rung]
    if not epochs:
        return f"rung {rung + 1}"
    low, high = min(epochs), max(epochs)
    return counted(high, "epoch") if low == high else f"{low} to {high} epochs"


def _reached(rungs: list[Rung], count: int) -> list[str]:
    """What a candidate had reached at each rung; a dash from where it was stopped."""
    return [
        formats.percent(rungs[number]["val_accuracy"]) if number < len(rungs) else DASH
        for number in range(count)
    ]


def _told(contest: Contest | None) -> str:
    if contest is None:
        return "A short training stops a network that falls behind."
    share = f"About one in {contest['eta']:g} goes on from each rung. " if contest["eta"] else ""
    return (
        f"{share}Spearman’s coefficient compares the orders at neighbouring rungs: at 1 a short training "
        f"ranks as a longer one does. {contest['note'] or ''}"
    ).strip()
