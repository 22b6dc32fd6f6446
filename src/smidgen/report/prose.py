"""The sentences that the page and the model card share."""

from __future__ import annotations

from smidgen.report import formats, statistics
from smidgen.report.parts import data_row
from smidgen.report.schema import Latency, Memory, Report, Tested
from smidgen.report.standing import Standing, standing
from smidgen.spec import LATENCY, counted

__all__ = [
    "APART",
    "aspect",
    "balanced",
    "balanced_headline",
    "cautions",
    "disturbed",
    "interval",
    "latency",
    "memory",
    "missing",
    "near",
    "parted",
    "prediction",
    "refusal",
    "size",
    "start",
    "worth",
]

APART = 1.5  # prediction over measurement, or the reverse, from which on it is said


def balanced(report: Report) -> float | None:
    """Balanced accuracy as recorded, else as the confusion matrix gives it."""
    test, matrix = report["test"], report["confusion"]
    if test and test["balanced_accuracy"] is not None:
        return test["balanced_accuracy"]
    return statistics.balanced_accuracy(matrix) if matrix else None


def interval(test: Tested) -> tuple[float, float]:
    """The 95 % interval of the accuracy as recorded, else Wilson's."""
    if test["interval"] is not None:
        low, high = test["interval"]
        return low, high
    return statistics.wilson(round(test["accuracy"] * test["n"]), test["n"])


def size(report: Report) -> int | None:
    """Bytes of the model file as it lies on the disk, else as counted."""
    measured = report["measured"]
    if measured and measured["size_bytes"] is not None:
        return measured["size_bytes"]
    return report["cost"]["weight_bytes"]


def latency(row: Latency) -> str:
    """Milliseconds, and what they were measured on."""
    tail = f" (95th percentile {formats.amount(LATENCY.name, row['p95'])})" if row["p95"] else ""
    threads = row["threads"]
    busy = f", {threads} thread{'' if threads == 1 else 's'}" if threads else ""
    return (
        f"{formats.amount(LATENCY.name, row['value'])} for one picture{tail} "
        f"on {row['device']}{busy}, {row['precision']}{disturbed(row)}"
    )


def disturbed(row: Latency) -> str:
    """That a latency may be wrong, and why, as the tail of a sentence; nothing where it is sound."""
    return f"; doubtful, for it was disturbed: {row['doubt']}" if row["doubt"] else ""


def prediction(report: Report) -> str | None:
    """What was foretold of the latency, for which device, and how it compares with what was measured."""
    measured = report["measured"]
    row = measured["predicted_ms"] if measured else None
    if measured is None or row is None:
        return None
    foretold = f"{formats.amount(LATENCY.name, row['value'])} were predicted for {row['device']}"
    held = _held(report)
    if not row["here"]:
        return (
            f"{foretold}, within {formats.percent(row['error'], 0)} in nine of ten cases; "
            f"this is not the machine that trained, so it was not measured{held}."
        )
    if (latency := measured["latency_ms"]) is None:
        return f"{foretold}; it was not measured{held}."
    told = f"{foretold}, {formats.amount(LATENCY.name, latency['value'])} were measured{held}."
    return " ".join(filter(None, (told, parted(row["value"], latency))))


def parted(foretold: float, latency: Latency) -> str | None:
    """That prediction and clock part by more than APART, and what that may come from."""
    less, more = sorted((foretold, latency["value"]))
    if less <= 0 or more <= APART * less:
        return None
    cause = "the clock was disturbed" if latency["doubt"] else "the machine was busy for one of them"
    return (
        f"The two are {more / less:.1f} times apart, which is more than {APART:g}: probably {cause}. "
        "On the idle machine, `smidgen info --measure` does the one anew, `smidgen bench` the other."
    )


def _held(report: Report) -> str:
    """Whether the budget's milliseconds hold, as the tail of a sentence."""
    row = next((row for row in report["limits"] or [] if row["unit"] == LATENCY.name), None)
    if row is None:
        return ""
    if row["holds"] is None:
        return f": whether the budget holds cannot be told ({row['why']})"
    far = ", as far as a prediction can tell" if row["known"] == "predicted" else ""
    return f": the budget {'holds' if row['holds'] else 'does not hold'}{far}"


def balanced_headline(report: Report) -> str | None:
    """The balanced accuracy, where the accuracy alone would flatter."""
    found = worth(report)
    return f"balanced {formats.percent(found.balanced)}" if found and found.misleading else None


def worth(report: Report) -> Standing | None:
    """What the accuracy on the test pictures is worth, where the confusion matrix tells."""
    return standing(report["confusion"]) if report["test"] and report["confusion"] else None


def cautions(report: Report) -> list[str]:
    """The sentences that have to stand beside the accuracy."""
    found, source = worth(report), report["provenance"]
    weighted = bool(source and (source["recipe"] or {}).get("class_weights"))
    if found is None:
        return []
    data = data_row(report)
    how = data["aspect"] if data else None
    return found.sentences(report["resolution"], aspect=how, weighted=weighted, again=True)


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


# What became of pictures that are not square.
_ASPECTS = {
    "crop": "the middle cut out",
    "squash": "both sides resized (squashed)",
    "pad": "the rest filled with the mean colour (padded)",
}


def aspect(report: Report) -> str | None:
    """How pictures became squares, and what a crop cost or would have cost; None where nobody knows."""
    data = data_row(report)
    if data is None or (told := _ASPECTS.get(data["aspect"] or "")) is None:
        return None
    if data["cut_away"] is None:
        return told
    does = "cuts" if data["aspect"] == "crop" else "would cut"
    return f"{told}; a crop {does} away {formats.percent(data['cut_away'], 0)} of the median picture"
