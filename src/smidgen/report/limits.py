"""How a network stands to every limit of its budget: one answer that terminal, page and card print."""

from __future__ import annotations

from smidgen.report import formats
from smidgen.report.fields import Limit, Report
from smidgen.spec import LATENCY

__all__ = ["answered", "place", "sentence", "verdict"]


def answered(report: Report) -> list[Limit] | None:
    """A row for each limit of the budget, in its order; None where none was set."""
    budget = report["budget"]
    if budget is None:
        return None
    return [_milliseconds(report, limit) if unit == LATENCY.name else _counted(report, unit, limit)
            for unit, limit in budget.items()]  # fmt: skip


def sentence(row: Limit) -> str:
    """`28,412 of 30,000 allowed: holds`, with where milliseconds come from and how far to trust them."""
    used, limit = formats.amounts(row["unit"], row["value"], row["limit"])
    if row["value"] is None:
        return f"limit {limit}: {verdict(row)}"
    return f"{used}{place(row)} of {limit} allowed: {verdict(row)}"


def verdict(row: Limit) -> str:
    """Whether the limit holds, and what else there is to say of it."""
    if row["holds"] is None:
        return f"cannot be told: {row['why']}"
    if row["holds"]:
        told = "holds"
    else:
        # What is over never reads as 1.00 times.
        told = f"does not hold, {max(1.01, (row['value'] or 0.0) / row['limit']):.2f} times the limit"
    return f"{told} ({row['why']})" if row["why"] else told


def place(row: Limit) -> str:
    """How milliseconds are known and of which device they are, as the tail of a phrase."""
    if not row["device"]:
        return ""
    return f" {row['known']} {'for' if row['known'] == 'predicted' else 'on'} {row['device']}"


def _counted(report: Report, unit: str, limit: float) -> Limit:
    """A count; of the model file, what the file system says."""
    measured = report["measured"]
    size = measured["size_bytes"] if measured and unit == "weight_bytes" else None
    counts: dict[str, object] = {**report["cost"]}
    count = size if size is not None else counts.get(unit)
    if not isinstance(count, int | float):
        return _row(unit, limit, None, None, None, "it was not counted")
    return _row(unit, limit, count, "counted" if size is None else "measured", None)


def _milliseconds(report: Report, limit: float) -> Limit:
    """By the clock where the device is the machine that measured; elsewhere as was predicted for it."""
    unit, measured = LATENCY.name, report["measured"]
    latency = measured["latency_ms"] if measured else None
    foretold = measured["predicted_ms"] if measured else None
    if foretold and not foretold["here"]:
        within = f"nine of ten predictions are within {formats.percent(foretold['error'], 0)}"
        return _row(unit, limit, foretold["value"], "predicted", foretold["device"], within)
    if latency:
        told = _row(unit, limit, latency["value"], "measured", latency["device"])
        # Other work can only add: what is inside the limit all the same holds.
        if latency["doubt"] and not told["holds"]:
            told |= {"holds": None, "why": f"the clock was disturbed ({latency['doubt']})"}
        return told
    why = (measured["note"] if measured else None) or "it was not measured"
    if foretold is None:
        return _row(unit, limit, None, None, None, why)
    told = _row(unit, limit, foretold["value"], "predicted", foretold["device"], why)
    told["holds"] = None
    return told


def _row(
    unit: str,
    limit: float,
    value: float | None,
    known: str | None,
    device: str | None,
    why: str | None = None,
) -> Limit:
    return {
        "unit": unit,
        "limit": limit,
        "value": value,
        "known": known,
        "device": device,
        "holds": None if value is None else value <= limit,
        "why": why,
    }
