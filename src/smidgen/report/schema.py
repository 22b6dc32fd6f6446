"""The report of a run: what `report.json` holds, checked on the way in and on the way out.

A key that is left out, or was not measured, is null. Keys that this version does not know are kept.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from smidgen import atomic
from smidgen.report import limits
from smidgen.report.fields import (
    Bin,
    Candidate,
    Contest,
    ContestRung,
    CostRow,
    CurveRow,
    Latency,
    Limit,
    Measured,
    Memory,
    Mistake,
    NetworkRow,
    NoneOfThese,
    Provenance,
    Report,
    Rung,
    SetRow,
    StartingPoint,
    Teacher,
    Tested,
)
from smidgen.spec import SmidgenError

__all__ = [
    "Bin",
    "Candidate",
    "Contest",
    "ContestRung",
    "CostRow",
    "CurveRow",
    "Latency",
    "Limit",
    "Measured",
    "Memory",
    "Mistake",
    "NetworkRow",
    "NoneOfThese",
    "Provenance",
    "Report",
    "ReportError",
    "Rung",
    "SetRow",
    "StartingPoint",
    "Teacher",
    "Tested",
    "complete",
    "read",
    "write",
]


STARTS = ("scratch", "weights", "teacher")


class ReportError(SmidgenError):
    """A report that is missing, is not JSON, or does not hold what a report holds."""


def complete(partial: Mapping[str, Any]) -> Report:
    """Check a report and fill in what was not measured with None; numpy's numbers become Python's, NaN None.

    How it stands to its limits is worked out from the rest, so that the two never contradict each other.

    Raises   ReportError naming the first field that is missing or of another type.
    """
    report = cast("Report", _fit(_plain(partial), Report, ""))
    _check_numbers(report)
    report["limits"] = limits.answered(report)
    return report


def _check_numbers(report: Report) -> None:
    """Refuse what has the right types and makes no sense."""
    for unit, limit in (report["budget"] or {}).items():
        if limit <= 0:
            raise ReportError(f"budget.{unit}: {limit} is not above 0")
    if (test := report["test"]) and not (0 <= test["accuracy"] <= 1 and test["n"] >= 1):
        raise ReportError(
            f"test: accuracy {test['accuracy']} of {test['n']} is not a fraction of some pictures"
        )
    _check_scores(report)
    if test and test["interval"] is not None and len(test["interval"]) != 2:
        raise ReportError(f"test.interval: {test['interval']} is not a low and a high end")
    confusion, classes = report["confusion"], report["classes"]
    if confusion is not None:
        side = len(confusion) if classes is None else len(classes)
        if len(confusion) != side or any(len(row) != side for row in confusion):
            raise ReportError(f"confusion: not a square of {side} classes; rows are true, columns predicted")
        if any(count < 0 for row in confusion for count in row):
            raise ReportError("confusion: a count is below 0")


def _check_scores(report: Report) -> None:
    """Refuse shares that are no shares, empty bins and unknown starting points."""
    shares: list[tuple[str, float | None]] = []
    if test := report["test"]:
        names = ("top5_accuracy", "balanced_accuracy", "calibration_error")
        shares += [(f"test.{name}", cast("float | None", test.get(name))) for name in names]
    if refusal := report["none_of_these"]:
        names = ("threshold", "kept", "kept_accuracy")
        shares += [(f"none_of_these.{name}", cast("float | None", refusal.get(name))) for name in names]
    if (source := report["provenance"]) and (data := source["data"]):
        shares.append(("provenance.data.cut_away", data["cut_away"]))
    for index, row in enumerate(report["reliability"] or []):
        where = f"reliability[{index}]"
        shares += [(f"{where}.confidence", row["confidence"]), (f"{where}.accuracy", row["accuracy"])]
        if row["n"] < 1:
            raise ReportError(f"{where}.n: {row['n']} pictures are no bin")
    for where, share in shares:
        if share is not None and not 0 <= share <= 1:
            raise ReportError(f"{where}: {share} is not a share between 0 and 1")
    start = report["starting_point"]
    if start and start["kind"] not in STARTS:
        raise ReportError(f"starting_point.kind: {_shown(start['kind'])} is not one of {', '.join(STARTS)}")


def write(path: str | Path, report: Mapping[str, Any]) -> Path:
    """Write `report.json` atomically, completed.

    Raises   ReportError as `complete` does; OSError as the file system gives it.
    """
    text = json.dumps(complete(report), indent=1, allow_nan=False)
    atomic.write_text(Path(path), text + "\n")
    return Path(path)


def read(path: str | Path) -> Report:
    """Read a `report.json`.

    Raises   ReportError, with the path, when it is missing or is no report.
    """
    try:
        loaded = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror or error}; a run folder holds a report.json") from None
    except (ValueError, RecursionError):
        raise ReportError(
            f"{path}: not JSON; `smidgen fit` and `smidgen train` write a report.json"
        ) from None
    try:
        return complete(loaded)
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from None


def _plain(value: Any) -> Any:
    """Turn tuples, numpy scalars and arrays into JSON's own types, and what is not finite into None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _fit(value: Any, hint: Any, where: str) -> Any:
    """Check `value` against a type of this file; missing keys become None where None may stand."""
    if typing.is_typeddict(hint):
        return _fit_row(value, hint, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _fit_union(value, arguments, where)
    if origin is list and isinstance(value, list):
        return [_fit(item, arguments[0], f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _fit(item, arguments[1], f"{where}.{key}") for key, item in value.items()}
    if origin is None and _is(value, hint):
        return value
    raise ReportError(f"{where or 'report'}: {_shown(value)} is not {_called(hint)}")


def _fit_row(value: Any, hint: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ReportError(f"{where or 'report'}: {_shown(value)} is not an object with named fields")
    known = typing.get_type_hints(hint)
    fitted = {
        key: _field(value.get(key), kind, f"{where}.{key}" if where else key) for key, kind in known.items()
    }
    return fitted | {key: item for key, item in value.items() if key not in known}


def _field(value: Any, hint: Any, where: str) -> Any:
    if value is None and not (hint is object or type(None) in typing.get_args(hint)):
        raise ReportError(f"{where}: missing; a report needs it")
    return _fit(value, hint, where)


def _fit_union(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    kinds = [kind for kind in arguments if kind is not type(None)]
    if len(kinds) == 1:
        return _fit(value, kinds[0], where)
    if any(_is(value, kind) for kind in kinds):
        return value
    raise ReportError(f"{where}: {_shown(value)} is not {' or '.join(map(_called, kinds))}")


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, (int, float) if kind is float else kind)


def _called(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind) or ("a list" if typing.get_origin(kind) is list else "an object with named fields")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
