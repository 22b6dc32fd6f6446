"""What every section of the page is built from: headings, tables, lists of facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from smidgen.report.formats import DASH
from smidgen.report.markup import Html, join, tag
from smidgen.report.schema import Latency, Memory, Report, SetRow

__all__ = [
    "data_row",
    "fact_list",
    "json_value",
    "latency_row",
    "memory_row",
    "number_cells",
    "section",
    "table",
]


def section(name: str, title: str, note: str, *body: str) -> Html:
    """One section: a heading, a sentence on what is seen, and the thing itself."""
    opening = tag("p", note) if note else Html("")
    return tag("section", tag("h2", title), opening, tag("div", *body, class_="body"), id=name)


def fact_list(facts: Mapping[str, str]) -> Html:
    """Pairs of a name and what is known."""
    pairs = (join(tag("dt", name), tag("dd", known)) for name, known in facts.items())
    return tag("dl", *pairs, class_="facts")


def json_value(value: object) -> Html:
    """Any JSON value; an object becomes a list of its pairs."""
    if isinstance(value, Mapping):
        pairs = [join(tag("dt", str(key)), tag("dd", json_value(item))) for key, item in value.items()]
        return tag("dl", *pairs, class_="inner") if pairs else join(DASH)
    if isinstance(value, list):
        return join(json.dumps(value) if any(map(_nested, value)) else ", ".join(map(str, value)))
    if value is None or isinstance(value, bool):
        return join({None: DASH, True: "yes", False: "no"}[value])
    return join(str(value))


def _nested(value: object) -> bool:
    return value is None or isinstance(value, bool | list | Mapping)


def table(heads: Iterable[str], rows: Iterable[Html]) -> Html:
    """A table whose first column is text and whose other heads stand over numbers."""
    first, *others = heads
    cells = [tag("th", name, class_="number", scope="col") for name in others]
    head = tag("tr", tag("th", first, scope="col"), *cells)
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll")


def number_cells(cells: Iterable[str]) -> list[Html]:
    """Cells whose digits stand under one another."""
    return [tag("td", cell, class_="number") for cell in cells]


def data_row(report: Report) -> SetRow | None:
    """The data of the run, where it is known."""
    return report["provenance"]["data"] if report["provenance"] else None


def latency_row(report: Report) -> Latency | None:
    """The measured latency, where it was measured."""
    return report["measured"]["latency_ms"] if report["measured"] else None


def memory_row(report: Report) -> Memory | None:
    """The measured memory, where it was measured."""
    return report["measured"]["memory"] if report["measured"] else None
