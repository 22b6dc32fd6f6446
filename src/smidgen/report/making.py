"""The sections on how the network came about, and on what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.report import formats, limits, plots, prose
from smidgen.report.formats import DASH
from smidgen.report.markup import Html, tag
from smidgen.report.parts import (
    data_row,
    fact_list,
    json_value,
    section,
)
from smidgen.report.schema import Limit, Report, SetRow
from smidgen.spec import counted

__all__ = ["budget", "commands", "curves", "provenance"]


def budget(report: Report) -> Html:
    """Each limit as a bar of what is used, then the costs that were left free."""
    rows, costs = report["limits"] or [], _costs(report)
    bars = [_limit(row) for row in rows]
    if told := prose.prediction(report):
        bars.append(tag("p", told, class_="free"))
    limited = {row["unit"] for row in rows}
    free = [
        f"{formats.title(unit).lower()} {formats.amount(unit, cost)}"
        for unit, cost in costs.items()
        if unit not in limited and cost is not None
    ]
    rest = f"{'Not limited:' if rows else 'No budget was set. Cost:'} {', '.join(free)}." if free else ""
    return section("budget", "Budget", "", *bars, tag("p", rest, class_="free"))


def _costs(report: Report) -> dict[str, float | None]:
    cost = report["cost"]
    return {
        "params": cost["params"],
        "macs": cost["macs"],
        "weight_bytes": cost["weight_bytes"],
        "peak_bytes": cost["peak_bytes"],
    }


def _limit(row: Limit) -> Html:
    unit, used, limit = row["unit"], row["value"], row["limit"]
    name = tag("span", formats.title(unit), class_="name")
    state = {True: "limit", False: "limit broken", None: "limit open"}[row["holds"]]
    told = tag("p", limits.verdict(row), class_="verdict")
    if used is None:
        amounts = tag("span", f"limit {formats.amount(unit, limit)}", class_="used")
        return tag("div", name, amounts, told, class_=state)
    share = used / limit
    first, second = formats.amounts(unit, used, limit)
    place = tag("span", limits.place(row), class_="quiet")
    percent = tag("span", f" · {formats.percent(share, 0)}", class_="quiet")
    amounts = tag("span", f"{first} of {second}", percent, class_="used")
    bar = tag("div", tag("div", style=f"width: {min(100.0, 100 * share):.1f}%"), class_="bar")
    return tag("div", tag("span", name, place), amounts, bar, told, class_=state)


def commands(report: Report) -> Html:
    """What to type next; a click selects a whole command."""
    lines = report["next_commands"] or []
    if not lines:
        return section("next", "Next", "", tag("p", "No next commands were recorded.", class_="quiet"))
    items = [tag("li", tag("code", line)) for line in lines]
    return section("next", "Next", "A click selects the whole command.", tag("ol", *items, class_="commands"))


def curves(report: Report) -> Html:
    """Loss and accuracy of the chosen network by epoch."""
    rows, began = report["curves"] or [], prose.start(report)
    if not rows:
        told = f" Training began from {began}." if began else ""
        return section("curves", "Training", "", tag("p", f"No curves were recorded.{told}", class_="quiet"))
    figures = (
        tag("figure", tag("h3", "Loss"), Html(plots.curve(rows, "loss"))),
        tag("figure", tag("h3", "Accuracy"), Html(plots.curve(rows, "accuracy"))),
    )
    took = f" in {formats.duration(rows[-1]['seconds'])}" if rows[-1]["seconds"] is not None else ""
    note = f"{counted(len(rows), 'epoch')}{took}" + (f", from {began}." if began else ".")
    return section("curves", "Training", note, tag("div", *figures, class_="pair"))


def provenance(report: Report) -> Html:
    """All it takes to run it again."""
    source, data = report["provenance"], data_row(report)
    facts: dict[str, str | None] = {
        "Network": f"{report['network']['name']}, {report['network']['family']}",
        "Resolution": _resolution(report),
        "Model file": report["model_file"],
        "Started from": prose.start(report),
    }
    if source is not None:
        facts |= {
            "Command": tag("code", source["command"]) if source["command"] else None,
            "Time limit": formats.duration(source["time_limit_s"]),
            "Starts": json_value(source["starts"]),
            "Seed": None if source["seed"] is None else str(source["seed"]),
            "Data": _data_text(data) if data else None,
            "Split": _split_text(data["split"]) if data and data["split"] else None,
            "Nearly identical": prose.near(report),
            "Aspect ratio": prose.aspect(report),
            "Fingerprint": tag("code", data["fingerprint"]) if data and data["fingerprint"] else None,
            "Date": source["date"],
            "Machine": json_value(source["machine"]),
            "Versions": json_value(source["versions"]),
            "Recipe": json_value(source["recipe"]),
        }
    return section(
        "provenance", "Provenance", "", fact_list({key: value or DASH for key, value in facts.items()})
    )


def _resolution(report: Report) -> str | None:
    if report["resolution"] is None:
        return None
    dropped = report["dropped_strides"]
    told = f", {counted(dropped, 'stride')} dropped" if dropped else ""
    return f"{report['resolution']} x {report['resolution']}{told}"


def _data_text(data: SetRow) -> str:
    counts = (("picture", data["pictures"]), ("class", data["classes"]))
    told = [
        counted(count, noun, "classes" if noun == "class" else None)
        for noun, count in counts
        if count is not None
    ]
    return ", ".join(filter(None, [data["name"], *told, data["source"]]))


def _split_text(split: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {formats.count(count)}" for name, count in split.items())
