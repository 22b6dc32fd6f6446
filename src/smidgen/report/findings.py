"""The sections on how good the network is: headline, confusion, classes, mistakes, measurements."""

from __future__ import annotations

import re
from collections.abc import Iterable

from smidgen.report import formats, plots, prose, statistics
from smidgen.report.formats import DASH
from smidgen.report.markup import Html, join, tag
from smidgen.report.parts import (
    data_row,
    fact_list,
    latency_row,
    memory_row,
    number_cells,
    section,
    table,
)
from smidgen.report.schema import Mistake, Report, Tested
from smidgen.spec import LATENCY, counted

__all__ = ["calibration", "classes", "confusion", "headline", "measured", "mistakes"]

_ROWS = 30  # of more classes the weakest are shown, the rest folded away
_SMALL = 12  # up to so many classes a matrix is readable on a phone without scrolling
_PAIRS = 15  # of the classes that are mistaken for one another, where a matrix is too large to read
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
    cautions = [tag("p", told, class_="lead caution") for told in prose.cautions(report)]
    lines = (tag("p", lead, class_="lead"), *cautions, _interval(test), _scores(report))
    return tag("header", opening, _number(report, test), *lines)


def _number(report: Report, test: Tested) -> Html:
    """The accuracy in large digits, with the balanced one beside it where it alone would flatter."""
    beside, found = prose.balanced_headline(report), prose.worth(report)
    small = tag("small", beside) if beside else ""
    doubtful = "doubtful" if found and found.doubtful else None
    gap = " " if beside else ""
    return tag("h1", formats.percent(test["accuracy"]), gap, small, class_=doubtful)


def _scores(report: Report) -> Html:
    """What else was measured, a few numbers side by side."""
    test, latency, memory = report["test"], latency_row(report), memory_row(report)
    known = {
        "Balanced accuracy": formats.percent(prose.balanced(report)),
        "Top-5 accuracy": formats.percent(test["top5_accuracy"] if test else None),
        "Calibration error": formats.percent(test["calibration_error"] if test else None),
        "Latency, doubtful" if latency and latency["doubt"] else "Latency": formats.amount(
            LATENCY.name, latency["value"] if latency else None
        ),
        "Memory": formats.amount("peak_bytes", memory["value"] if memory else None),
        "Model file": formats.amount("weight_bytes", prose.size(report)),
    }
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in known.items() if value != DASH)
    meters = tag("p", _meters(report), class_="meters") if latency or memory else Html("")
    return join(tag("dl", *pairs, class_="scores"), meters)


def _meters(report: Report) -> str:
    """What the milliseconds and bytes of the strip were measured on; they mean nothing without it."""
    latency, memory = latency_row(report), memory_row(report)
    told = {f"{row['device']}, {row['precision']}": None for row in (latency, memory) if row is not None}
    names = " and ".join(name for name, row in (("latency", latency), ("memory", memory)) if row)
    threads = f", {counted(latency['threads'], 'thread')}" if latency and latency["threads"] else ""
    doubt = prose.disturbed(latency) if latency else ""
    return f"{names.capitalize()} of one picture on {' and '.join(told)}{threads}{doubt}."


def _interval(test: Tested) -> Html:
    text = (
        f"Allowing for chance in {counted(test['n'], 'picture')}, "
        f"the 95\u202f% interval is {formats.percents(*prose.interval(test))}."
    )
    return tag("p", text, class_="lead quiet")


def _day(report: Report) -> str:
    source = report["provenance"]
    return (source["date"] or "")[:10] if source else ""


def confusion(report: Report) -> Html:
    """Which class was called which; of very many classes, those that are mistaken most often."""
    matrix, names = report["confusion"], _classes(report)
    if not matrix:
        return section("confusion", "Confusion", "", tag("p", "Not measured.", class_="quiet"))
    note = "Test pictures: the row is what a picture is, the column what it was called."
    width = plots.confusion_width(names)
    size = "small" if len(names) <= _SMALL else None
    drawing = tag("figure", Html(plots.confusion(matrix, names)), class_=size, style=f"--natural: {width}px")
    told = _mixups(matrix, names) if len(names) <= plots.NUMBERED else _pairs(matrix, names)
    return section("confusion", "Confusion", note, tag("div", drawing, class_="matrix"), told)


def _mistaken(matrix: list[list[int]]) -> list[tuple[int, int, int]]:
    """Count, true and called class of all mistakes, the commonest first."""
    pairs = [
        (count, true, called)
        for true, row in enumerate(matrix)
        for called, count in enumerate(row)
        if true != called and count > 0
    ]
    return sorted(pairs, key=lambda pair: -pair[0])


def _pairs(matrix: list[list[int]], names: list[str]) -> Html:
    """The commonest mistakes as a table."""
    pairs = _mistaken(matrix)
    if not pairs:
        return Html("")
    rows = [
        tag(
            "tr",
            tag("td", names[true], " called ", tag("b", names[called]), class_="name"),
            *number_cells((formats.count(count), formats.percent(count / sum(matrix[true])))),
        )
        for count, true, called in pairs[:_PAIRS]
    ]
    return tag("div", table(("Most often", "Pictures", "Share of the class"), rows), class_="pairs")


def _mixups(matrix: list[list[int]], names: list[str]) -> Html:
    """The three commonest mistakes in words, where some class is mistaken more than once."""
    worst = [pair for pair in _mistaken(matrix) if pair[0] > 1][:3]
    told = ", ".join(f"{names[true]} called {names[called]} ({count} times)" for count, true, called in worst)
    return tag("p", f"Most often: {told}.", class_="notes") if told else Html("")


def classes(report: Report) -> Html:
    """Recall, as a bar with its interval, precision and F1 of each class; of many, the weakest first."""
    matrix = report["confusion"]
    if not matrix:
        return section("classes", "Classes", "", tag("p", "Not measured.", class_="quiet"))
    scored = list(zip(_classes(report), statistics.per_class(matrix), strict=True))
    note = (
        f"Balanced accuracy, the mean recall, is {formats.percent(prose.balanced(report))}. "
        "The thin lines are 95\u202f% intervals."
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


def calibration(report: Report) -> Html:
    """Whether the network knows when it is right, and below which confidence not to believe it."""
    bins, test = report["reliability"] or [], report["test"]
    error = test["calibration_error"] if test else None
    refusal = prose.refusal(report)
    told: list[Html] = []
    if error is not None:
        told.append(
            tag("p", "Confidence and accuracy differ by ", tag("strong", formats.percent(error)), _ECE)
        )
    if refusal:
        told.append(tag("p", refusal))
    if not bins and not told:
        return section("calibration", "Calibration", "", tag("p", "Not measured.", class_="quiet"))
    drawing = tag("figure", Html(plots.reliability(bins))) if bins else Html("")
    note = "Of the test pictures that it calls with so much confidence, how many are called right?"
    parts = tag("div", drawing, tag("div", *told, class_="told"), class_="pair")
    return section("calibration", "Calibration", note if bins else "", parts)


_ECE = (
    " on average (expected calibration error over 15 bins of equal width). Circles below the dashed line are "
    "too sure of themselves, circles above it too modest; a larger circle stands for more pictures."
)


def measured(report: Report) -> Html:
    """What a clock, a meter and the file system said, and on which machine."""
    test, latency, memory = report["test"], latency_row(report), memory_row(report)
    peak = formats.amount("peak_bytes", report["cost"]["peak_bytes"])
    facts: dict[str, str | None] = {
        "Latency": prose.latency(latency) if latency else None,
        "Memory": prose.memory(memory) if memory else None,
        "Model file": formats.amount("weight_bytes", prose.size(report)),
        "Peak of activations": f"{peak}, counted for one picture in fp32",
        "Top-1 accuracy": formats.percent(test["accuracy"]) if test else None,
        "Top-5 accuracy": _top5(report),
        "Balanced accuracy": formats.percent(prose.balanced(report)),
        "Calibration error": formats.percent(test["calibration_error"]) if test else None,
    }
    absent = tag("span", "not measured", class_="quiet")
    told = {key: value if value and not value.startswith(DASH) else absent for key, value in facts.items()}
    why = prose.missing(report)
    return section(
        "measured", "Measured", "", fact_list(told), tag("p", f"{why}.", class_="why") if why else ""
    )


def _top5(report: Report) -> str | None:
    test, names = report["test"], report["classes"]
    if test and test["top5_accuracy"] is None and names and len(names) <= 5:
        return "of no meaning with 5 classes or fewer"
    return formats.percent(test["top5_accuracy"]) if test else None


def _classes(report: Report) -> list[str]:
    return report["classes"] or [str(index) for index in range(len(report["confusion"] or []))]


def _name(label: str | int, names: list[str]) -> str:
    if isinstance(label, str):
        return label
    return names[label] if 0 <= label < len(names) else str(label)
