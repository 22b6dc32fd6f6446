"""The sentences that the page and the model card share."""

from __future__ import annotations

from smidgen.report import formats, statistics
from smidgen.report.parts import data_row
from smidgen.report.schema import Latency, Memory, Report
from smidgen.spec import counted

__all__ = [
    "balanced",
    "budgeted_ms",
    "latency",
    "memory",
    "missing",
    "near",
    "prediction",
    "refusal",
    "size",
    "start",
]


def balanced(report: Report) -> float | None:
    """Balanced accuracy as recorded, else as the confusion matrix gives it."""
    test, matrix = report["test"], report["confusion"]
    if test and test["balanced_accuracy"] is not None:
        return test["balanced_accuracy"]
    return statistics.balanced_accuracy(matrix) if matrix else None


def size(report: Report) -> int | None:
    """Bytes of the model file as it lies on the disk, else as counted."""
    measured = report["measured"]
    if measured and measured["size_bytes"] is not None:
        return measured["size_bytes"]
    return report["cost"]["weight_bytes"]


def latency(row: Latency) -> str:
    """Milliseconds, and what they were measured on."""
    tail = f" (95th percentile {formats.amount('latency_ms', row['p95'])})" if row["p95"] else ""
    threads = row["threads"]
    busy = f", {threads} thread{'' if threads == 1 else 's'}" if threads else ""
    return (
        f"{formats.amount('latency_ms', row['value'])} for one picture{tail} "
        f"on {row['device']}{busy}, {row['precision']}"
    )


def budgeted_ms(report: Report) -> float | None:
    """The milliseconds that a budget limits: measured, where its device is the machine that measured."""
    measured = report["measured"]
    if measured is None:
        return None
    predicted, latency = measured["predicted_ms"], measured["latency_ms"]
    if predicted is not None and not predicted["here"]:
        return predicted["value"]
    return latency["value"] if latency else None


def prediction(report: Report) -> str | None:
    """What was foretold of the latency, for which device, and how it compares with what was measured."""
    measured = report["measured"]
    row = measured["predicted_ms"] if measured else None
    if measured is None or row is None:
        return None
    foretold = f"{formats.amount('latency_ms', row['value'])} were predicted for {row['device']}"
    if not row["here"]:
        return (
            f"{foretold}, within {formats.percent(row['error'], 0)} in nine of ten cases; "
            "this is not the machine that trained, so it was not measured."
        )
    limit, latency = (report["budget"] or {}).get("latency_ms"), measured["latency_ms"]
    if latency is None:
        return f"{foretold}; it was not measured."
    if limit is None:
        return f"{foretold}."
    held = "the budget holds" if latency["value"] <= limit else "the budget does not hold"
    return f"{foretold}, {formats.amount('latency_ms', latency['value'])} were measured: {held}."


def memory(row: Memory) -> str:
    """Bytes, what was metered, and on what."""
    amount = formats.amount("peak_bytes", row["value"])
    return f"{amount} on {row['device']}, {row['precision']}: {row['what']}"


def missing(report: Report) -> str | None:
    """Why something was not measured, where it is known."""
    measured = report["measured"]
    return measured["note"] if measured else None


def refusal(report: Report) -> str | None:
    """One sentence on the "none of these" threshold."""
    row = report["none_of_these"]
    if row is None:
        return None
    kept = (
        f", of which {formats.percent(row['kept_accuracy'])} were called right"
        if row["kept_accuracy"] is not None
        else ""
    )
    return (
        f"Take an answer with a {row['score']} below {formats.decimal(row['threshold'], 3)} as "
        f"“none of these”: {formats.percent(row['kept'])} of {formats.count(row['n'])} validation pictures, "
        f"which all belong to the classes, lie at or above it{kept}."
    )


def start(report: Report) -> str | None:
    """What the training began with."""
    row = report["starting_point"]
    if row is None:
        return None
    if row["kind"] == "weights":
        return f"published weights, {row['weights']}" if row["weights"] else "published weights"
    if row["kind"] == "scratch":
        return "random weights"
    opening = f"the weights {row['weights']}" if row["weights"] else "random weights"
    if (teacher := row["teacher"]) is None:
        return f"{opening}, taught by a larger network"
    facts = [
        f"{formats.amount('params', teacher['params'])} parameters" if teacher["params"] else None,
        f"validation {formats.percent(teacher['val_accuracy'])}"
        if teacher["val_accuracy"] is not None
        else None,
    ]
    known = ", ".join(filter(None, facts))
    return f"{opening}, taught by {teacher['name']}" + (f" ({known})" if known else "")


def near(report: Report) -> str | None:
    """Whether the split tears nearly identical pictures apart; None where nobody has looked."""
    data = data_row(report)
    if data is None or data["near_identical"] is None:
        return None
    pairs = data["near_identical"]
    return f"{counted(pairs, 'pair') if pairs else 'No pair'} of nearly identical pictures in two parts"
