"""`model_card.md`: what a model is for, how good it is and where it ends, made from the report alone."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from smidgen import atomic
from smidgen.report import formats, limits, prose, statistics
from smidgen.report.parts import data_row, latency_row, memory_row
from smidgen.report.schema import Report, Tested, complete
from smidgen.seal import sealed
from smidgen.spec import counted

__all__ = ["card", "write_card"]

_ROWS = 30  # of more classes the weakest are listed
_FEW = 30  # test pictures of a class, below which its recall says little


def card(report: Report) -> str:
    """Write a model card in Markdown, with the metadata header that model hubs read.

    report   as `schema.complete` makes it; what was not measured is left out, and no licence is guessed
    Raises   ReportError when it is no report.
    Source   Mitchell et al. 2019, arXiv:1810.03993, for what a card tells
    """
    whole = complete(report)
    sections = (
        ("Intended use", _use(whole)),
        ("Data", _data(whole)),
        ("Results", _results(whole)),
        ("Per class", _classes(whole)),
        ("Cost", _cost(whole)),
        ("Budget", _budget(whole)),
        ("Limits", _limits(whole)),
        ("How to run", _run(whole)),
        ("Provenance", _provenance(whole)),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections if text)
    return f"{_header(whole)}\n# {_text(whole['network']['name'])}\n\n{_opening(whole)}\n\n{body}\n"


def write_card(path: str | Path, report: Report) -> Path:
    """Write `model_card.md` atomically, with a seal by which it is known whether anybody edits it.

    Raises   as `card` does; OSError as the file system gives it.
    """
    atomic.write_text(Path(path), sealed(card(report)))
    return Path(path)


def _header(report: Report) -> str:
    """The metadata: YAML, of which every JSON text is a part, so names are quoted as JSON."""
    network, test, data = report["network"], report["test"], data_row(report)
    lines = ["library_name: smidgen", "pipeline_tag: image-classification", "tags:", "- image-classification"]
    lines.append(f"- {_quoted(network['family'])}")
    if test:
        lines += ["metrics:", "- accuracy"]
    balanced = prose.balanced(report)
    if test and data:
        lines += [
            "model-index:",
            f"- name: {_quoted(network['name'])}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {_quoted(data['name'])}",
            f"      type: {_quoted(data['name'])}",
            "      split: test",
            "    metrics:",
            "    - type: accuracy",
            f"      value: {test['accuracy']:.6g}",
        ]
        if balanced is not None:
            lines += ["    - type: balanced_accuracy", f"      value: {balanced:.6g}"]
    return "\n".join(["---", *lines, "---", ""])


def _opening(report: Report) -> str:
    names = report["classes"]
    kinds = f" into {counted(len(names), 'class', 'classes')}" if names else ""
    size = f"{formats.amount('params', report['cost']['params'])} parameters"
    opening = f"A {_text(report['network']['family'])} network of {size} that sorts pictures{kinds}."
    if not (test := report["test"]):
        return opening
    told = ", ".join(filter(None, (formats.percent(test["accuracy"]), prose.balanced_headline(report))))
    return f"{opening} Accuracy on the test pictures: {told}."


def _use(report: Report) -> str:
    names, side = report["classes"], report["resolution"]
    shown = ", ".join(map(_text, (names or [])[:_ROWS]))
    more = f" and {len(names) - _ROWS:,} more" if names and len(names) > _ROWS else ""
    seen = f" It sees them at {side} x {side} pixels." if side else ""
    classes = f" The classes: {shown}{more}." if names else ""
    return (
        f"For pictures like those it was trained on, each of which shows one of its classes.{seen}{classes}"
    )


def _data(report: Report) -> str:
    data = data_row(report)
    if data is None:
        return ""
    source = data["source"] if data["source"] and not _is_path(data["source"]) else None
    counts = [
        counted(data["pictures"], "picture") if data["pictures"] is not None else None,
        counted(data["classes"], "class", "classes") if data["classes"] is not None else None,
    ]
    lines = [", ".join(filter(None, [_text(data["name"]), *counts])) + "."]
    if source:
        lines.append(f"Source: {_text(source)}.")
    if split := data["split"]:
        parts = ", ".join(f"{_text(part)} {formats.count(n)}" for part, n in split.items())
        lines.append(f"Split: {parts}. The test part was looked at once, after all choices were made.")
    if aspect := prose.aspect(report):
        lines.append(f"Pictures become squares: {aspect}.")
    if near := prose.near(report):
        lines.append(f"{near}.")
    if data["fingerprint"]:
        lines.append(f"Fingerprint: {_code(data['fingerprint'])}.")
    return "\n".join(lines)


def _is_path(source: str) -> bool:
    """Whether this is a place on somebody's disk, which is nobody else's business."""
    return PurePosixPath(source).is_absolute() or PureWindowsPath(source).is_absolute()


def _without_paths(command: str) -> str:
    """The command with the names alone of what it names by such places."""
    try:
        words = shlex.split(command)
    except ValueError:  # not what a shell was given
        return command
    return shlex.join(PurePath(word).name if _is_path(word) else word for word in words)


def _results(report: Report) -> str:
    test = report["test"]
    if test is None:
        return "Not tested."
    rows = [("Accuracy", formats.percent(test["accuracy"])), ("95 % interval (Wilson)", _interval(test))]
    rows += [
        (name, formats.percent(value))
        for name, value in (
            ("Top-5 accuracy", test["top5_accuracy"]),
            ("Balanced accuracy", prose.balanced(report)),
            ("Expected calibration error, 15 bins of equal width", test["calibration_error"]),
        )
        if value is not None
    ]
    table = _table(("", f"{counted(test['n'], 'test picture')}"), rows)
    return "\n\n".join([*(f"**{_text(told)}**" for told in prose.cautions(report)), table])


def _interval(test: Tested) -> str:
    return formats.percents(*prose.interval(test))


def _classes(report: Report) -> str:
    matrix = report["confusion"]
    if not matrix:
        return ""
    names = report["classes"] or [str(index) for index in range(len(matrix))]
    scored = list(zip(names, statistics.per_class(matrix), strict=True))
    opening = ""
    if len(scored) > _ROWS:
        scored.sort(key=lambda pair: (pair[1].recall is None, pair[1].recall or 0))
        opening = f"The {_ROWS} weakest of {len(scored):,}.\n\n"
    rows = [
        (
            _text(name),
            formats.percent(score.precision),
            formats.percent(score.recall),
            formats.count(score.support),
        )
        for name, score in scored[:_ROWS]
    ]
    return opening + _table(("Class", "Precision", "Recall", "Test pictures"), rows)


def _cost(report: Report) -> str:
    cost, latency, memory = report["cost"], latency_row(report), memory_row(report)
    rows = [
        (formats.title(unit), formats.amount(unit, number))
        for unit, number in (
            ("params", cost["params"]),
            ("macs", cost["macs"]),
            ("weight_bytes", prose.size(report)),
        )
        if number is not None
    ]
    if cost["peak_bytes"] is not None:
        counted_peak = formats.amount("peak_bytes", cost["peak_bytes"])
        rows.append(("Peak of activations", f"{counted_peak}, counted for one picture in fp32"))
    if latency:
        rows.append(("Latency", _text(prose.latency(latency))))
    if memory:
        rows.append(("Memory", _text(prose.memory(memory))))
    return _table(("", ""), rows)


def _budget(report: Report) -> str:
    """Every limit that was set, and how the network stands to it."""
    rows = report["limits"] or []
    lines = [f"{formats.title(row['unit'])}: {limits.sentence(row)}." for row in rows]
    if told := prose.prediction(report):
        lines.append(told)
    return "\n".join(f"- {_text(line)}" for line in lines)


def _limits(report: Report) -> str:
    """What the numbers above do not promise, in sentences that hold for this very run."""
    lines = ["Accuracy holds for pictures from the same source; on other pictures it can be much lower."]
    lines.append("Every answer is one of the classes, whatever the picture shows.")
    if refusal := prose.refusal(report):
        lines.append(_text(refusal))
    matrix, names = report["confusion"], report["classes"]
    if matrix and names:
        rare = [name for name, row in zip(names, matrix, strict=True) if sum(row) < _FEW]
        if rare:
            shown = ", ".join(map(_text, rare[:10])) + (" and more" if len(rare) > 10 else "")
            lines.append(f"Tested on fewer than {_FEW} pictures, so known only roughly: {shown}.")
    if reason := prose.missing(report):
        lines.append(_text(f"Not measured: {reason}."))
    return "\n".join(f"- {line}" for line in lines)


def _run(report: Report) -> str:
    file = PurePosixPath(report["model_file"] or "model.safetensors").name
    word = file if re.fullmatch(r"[\w.-]+", file) else "model.safetensors"
    return f"```sh\nsmidgen predict {word} picture.jpg\nsmidgen show {word}\n```"


def _provenance(report: Report) -> str:
    source = report["provenance"]
    if source is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in (source["versions"] or {}).items())
    facts: Mapping[str, str | None] = {
        "Command": _code(_without_paths(source["command"])) if source["command"] else None,
        "Seed": None if source["seed"] is None else str(source["seed"]),
        "Date": _text(source["date"]) if source["date"] else None,
        "Versions": _text(versions) or None,
        "Started from": _text(prose.start(report) or "") or None,
        "Time limit": formats.duration(source["time_limit_s"]) if source["time_limit_s"] else None,
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows whose cells are Markdown already; all columns but the first are numbers."""
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def _text(words: str) -> str:
    """Words that no Markdown reader takes for markup, on one line."""
    line = " ".join(_visible(words).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~&$!])", r"\\\1", line)


def _code(words: str) -> str:
    """Words as code, fenced by more backticks than they hold in a row."""
    line = " ".join(_visible(words).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    gap = " " if "`" in line else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def _quoted(words: str) -> str:
    return json.dumps(" ".join(_visible(words).split()), ensure_ascii=False)


def _visible(words: str) -> str:
    """Without control characters and half characters, which belong in no text file."""
    return "".join(letter if letter.isprintable() or letter.isspace() else "\ufffd" for letter in words)
