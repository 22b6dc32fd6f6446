"""The sections on how good the network is: headline, confusion, classes, mistakes, measurements."""

from __future__ import annotations

import re
from collections.abc import Iterable

from smidgen.report import formats, plots, statistics
from smidgen.report.formats import DASH
from smidgen.report.markup import Html, join, tag
from smidgen.report.parts import counted, data_row, fact_list, latency_row, number_cells, section, table
from smidgen.report.schema import Latency, Mistake, Report, Tested

__all__ = ["classes", "confusion", "headline", "measured", "mistakes"]

_ROWS = 30  # of more classes the weakest are shown, the rest folded away
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")


def headline(report: Report) -> Html:
    """The result in one number and one sentence."""
    name, test, data = report["network"]["name"], report["test"], data_row(report)
    over = " · ".join(filter(None, [data["name"] if data else "", _day(report)]))
    opening = tag("p", over, class_="over")
    if test is None:
        lead = tag("p", tag("strong", name), " has not met the test pictures yet.", class_="lead")
        return tag("header", opening, tag("h1", "Not tested", class_="none"), lead)
    right = round(test["accuracy"] * test["n"])
    lead = join(
        tag("strong", name),
        " gets ",
        tag("strong", f"{formats.count(right)} of {formats.count(test['n'])}"),
        " test pictures right, none of which it was trained or chosen on.",
    )
    number = tag("h1", formats.percent(test["accuracy"]))
    return tag("header", opening, number, tag("p", lead, class_="lead"), _interval(test))


def _interval(test: Tested) -> Html:
    n = test["n"]
    low, high = test["interval"] or statistics.wilson(round(test["accuracy"] * n), n)
    text = (
        f"Allowing for chance in {counted(n, 'picture')}, the 95 % interval is {formats.percents(low, high)}."
    )
    return tag("p", text, class_="lead quiet")


def _day(report: Report) -> str:
    source = report["provenance"]
    return (source["date"] or "")[:10] if source else ""


def confusion(report: Report) -> Html:
    """Which class was called which."""
    matrix = report["confusion"]
    if not matrix:
        return section("confusion", "Confusion", "", tag("p", "Not measured.", class_="quiet"))
    drawing = tag("figure", Html(plots.confusion(matrix, _classes(report))))
    note = "Test pictures: the row is what a picture is, the column what it was called."
    return section("confusion", "Confusion", note, drawing, _mixups(matrix, _classes(report)))


def _mixups(matrix: list[list[int]], names: list[str]) -> Html:
    """The three commonest mistakes in words, where some class is mistaken more than once."""
    pairs = [
        (count, true, called)
        for true, row in enumerate(matrix)
        for called, count in enumerate(row)
        if true != called and count > 1
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:3]
    told = ", ".join(f"{names[true]} called {names[called]} ({count} times)" for count, true, called in worst)
    return tag("p", f"Most often: {told}.", class_="notes") if told else Html("")


def classes(report: Report) -> Html:
    """Recall, as a bar with its interval, precision and F1 of each class; of many, the weakest first."""
    matrix = report["confusion"]
    if not matrix:
        return section("classes", "Classes", "", tag("p", "Not measured.", class_="quiet"))
    scored = list(zip(_classes(report), statistics.per_class(matrix), strict=True))
    note = (
        f"Balanced accuracy, the mean recall, is {formats.percent(statistics.balanced_accuracy(matrix))}. "
        "The thin lines are 95 % intervals."
    )
    if len(scored) <= _ROWS:
        return section("classes", "Classes", note, _class_table(scored))
    weakest = sorted(scored, key=lambda pair: (pair[1].recall is None, pair[1].recall or 0))
    rest = tag(
        "details", tag("summary", f"The other {len(scored) - _ROWS:,} classes"), _class_table(weakest[_ROWS:])
    )
    return section("classes", "Classes", f"{note} Weakest first.", _class_table(weakest[:_ROWS]), rest)


def _class_table(scored: Iterable[tuple[str, statistics.ClassScores]]) -> Html:
    rows = [
        tag(
            "tr",
            tag("td", name, class_="name"),
            tag("td", _bar(score), class_="wide"),
            *number_cells(_score_cells(score)),
        )
        for name, score in scored
    ]
    return table(("Class", "", "Recall", "Precision", "F1", "Pictures"), rows)


def _bar(score: statistics.ClassScores) -> Html:
    """Recall from 0 to 100 % with its interval as a line."""
    if score.recall is None:
        return Html("")
    low, high = statistics.wilson(round(score.recall * score.support), score.support)
    filled = tag("div", style=f"width: {100 * score.recall:.1f}%")
    line = tag("i", style=f"left: {100 * low:.1f}%; width: {100 * (high - low):.1f}%")
    return tag("div", filled, line, class_="bar")


def _score_cells(score: statistics.ClassScores) -> tuple[str, ...]:
    shares = (formats.percent(score.recall), formats.percent(score.precision), formats.decimal(score.f1, 3))
    return (*shares, formats.count(score.support))


def mistakes(report: Report) -> Html:
    """Pictures that were called wrong with most confidence; they often show what the data is short of."""
    rows = report["mistakes"]
    if not rows:
        found = "Not measured." if rows is None else "None: every test picture was called right."
        return section("mistakes", "Mistakes", "", tag("p", found, class_="quiet"))
    figures = [_mistake(row, _classes(report)) for row in sorted(rows, key=lambda row: -row["confidence"])]
    note = "Wrong, and most sure of it. Look here for wrong labels and for pictures the training lacked."
    return section("mistakes", "Mistakes", note, tag("div", *figures, class_="gallery"))


def _mistake(row: Mistake, names: list[str]) -> Html:
    true, called = (_name(row["true"], names), _name(row["predicted"], names))
    png = row["png_base64"] or ""
    picture = tag("div", class_="blank")
    if _BASE64.fullmatch(png):
        picture = tag("img", src=f"data:image/png;base64,{png}", alt=f"{true} called {called}")
    told = join(f"{true} called ", tag("b", called))
    small = tag("small", f"{formats.percent(row['confidence'], 0)} sure"), tag("small", row["name"])
    return tag("figure", picture, tag("figcaption", told, *small))


def measured(report: Report) -> Html:
    """What a clock and the file system said, and what the test split says beyond accuracy."""
    test, matrix = report["test"], report["confusion"]
    peak = formats.amount("peak_bytes", report["cost"]["peak_bytes"])
    facts: dict[str, str | None] = {
        "Latency": _latency_text(latency_row(report)),
        "Model file": formats.amount("weight_bytes", report["cost"]["weight_bytes"]),
        "Peak memory": f"{peak}, counted for one picture in fp32",
        "Balanced accuracy": formats.percent(statistics.balanced_accuracy(matrix)) if matrix else None,
        "Top-5 accuracy": formats.percent(test["top5_accuracy"]) if test else None,
        "Calibration error": formats.percent(test["calibration_error"]) if test else None,
    }
    absent = tag("span", "not measured", class_="quiet")
    told = {key: value if value and not value.startswith(DASH) else absent for key, value in facts.items()}
    return section("measured", "Measured", "", fact_list(told))


def _latency_text(latency: Latency | None) -> str | None:
    if latency is None:
        return None
    tail = f" (95th percentile {formats.amount('latency_ms', latency['p95'])})" if latency["p95"] else ""
    threads = f", {counted(latency['threads'], 'thread')}" if latency["threads"] else ""
    return (
        f"{formats.amount('latency_ms', latency['value'])} for one picture{tail} "
        f"on {latency['device']}{threads}, {latency['precision']}"
    )


def _classes(report: Report) -> list[str]:
    return report["classes"] or [str(index) for index in range(len(report["confusion"] or []))]


def _name(label: str | int, names: list[str]) -> str:
    if isinstance(label, str):
        return label
    return names[label] if 0 <= label < len(names) else str(label)
