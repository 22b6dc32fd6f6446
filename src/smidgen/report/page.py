"""`report.html`: one file that a person reads, prints, mails and opens offline."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from smidgen import atomic
from smidgen.report import contest, findings, formats, making, prose
from smidgen.report.markup import Html, join, tag
from smidgen.report.parts import section
from smidgen.report.schema import Report, complete
from smidgen.seal import sealed

__all__ = ["render", "write_page"]


def render(report: Report, architecture_svg: str | None = None) -> str:
    """Render a report as one self-contained HTML page: no scripts, nothing fetched, every text escaped.

    report            as `schema.complete` makes it; keys that are left out count as not measured
    architecture_svg  a drawing of the network, put in as it is: it must come from a source that you trust
    Raises            ReportError when it is no report; DependencyError where a plot lacks matplotlib.
    """
    whole = complete(report)
    return Template(_resource("page.html")).substitute(
        title=join(_title(whole)),
        style=_resource("page.css"),
        headline=findings.headline(whole),
        budget=making.budget(whole),
        commands=making.commands(whole),
        candidates=contest.candidates(whole),
        architecture=_architecture(architecture_svg),
        curves=making.curves(whole),
        confusion=findings.confusion(whole),
        classes=findings.classes(whole),
        calibration=findings.calibration(whole),
        mistakes=findings.mistakes(whole),
        measured=findings.measured(whole),
        provenance=making.provenance(whole),
    )


def write_page(path: str | Path, report: Report, architecture_svg: str | None = None) -> Path:
    """Write `report.html` atomically, with a seal by which it is known whether anybody edits it.

    Raises   as `render` does; OSError as the file system gives it.
    """
    atomic.write_text(Path(path), sealed(render(report, architecture_svg)))
    return Path(path)


def _title(report: Report) -> str:
    test = report["test"]
    accuracy = formats.percent(test["accuracy"]) if test else "not tested"
    told = ", ".join(filter(None, (accuracy, prose.balanced_headline(report))))
    return f"{report['network']['name']}: {told}"


def _architecture(svg: str | None) -> Html:
    if not svg:
        return Html("")
    element = re.sub(r"^\s*(<\?xml.*?\?>|<!DOCTYPE[^>]*>|<!--.*?-->|\s)*", "", svg, flags=re.DOTALL)
    return section("architecture", "The network", "", tag("figure", Html(element), class_="drawing"))


def _resource(name: str) -> str:
    return resources.files("smidgen.report").joinpath(name).read_text("utf-8")
