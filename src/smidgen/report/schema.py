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
from typing import Any, TypedDict, cast

from smidgen import atomic
from smidgen.spec import SmidgenError

__all__ = [
    "Candidate",
    "CostRow",
    "CurveRow",
    "Latency",
    "Measured",
    "Mistake",
    "NetworkRow",
    "Provenance",
    "Report",
    "ReportError",
    "SetRow",
    "Tested",
    "complete",
    "read",
    "write",
]


class ReportError(SmidgenError):
    """A report that is missing, is not JSON, or does not hold what a report holds."""


class NetworkRow(TypedDict):
    """Which network the run ended with."""

    name: str
    family: str


class CostRow(TypedDict):
    """What it costs for one picture, as `Cost` counts; weight_bytes is the model file as saved."""

    params: int
    macs: int
    peak_bytes: int | None
    weight_bytes: int | None


class Tested(TypedDict):
    """The one look at the test split; accuracies are fractions, the interval is Wilson's at 95 %."""

    accuracy: float
    interval: list[float] | None
    n: int
    top5_accuracy: float | None
    calibration_error: float | None


class Latency(TypedDict):
    """Milliseconds for one picture: median, 95th percentile, and what they were measured on."""

    value: float
    p95: float | None
    device: str
    precision: str
    threads: int | None


class Measured(TypedDict):
    """What a clock or a meter said."""

    latency_ms: Latency | None


class Candidate(TypedDict):
    """One network that was trained against the others; val_accuracy is a fraction."""

    name: str
    family: str
    params: int
    macs: int
    peak_bytes: int | None
    val_accuracy: float | None
    epochs: int | None
    seconds: float | None
    chosen: bool


class CurveRow(TypedDict):
    """One epoch of the chosen network's training; accuracies are fractions, seconds run from its start."""

    epoch: int
    step: int | None
    lr: float | None
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float | None


class Mistake(TypedDict):
    """A test picture that was called wrong; true and predicted are class names, or indices into `classes`."""

    name: str
    true: str | int
    predicted: str | int
    confidence: float
    png_base64: str | None


class SetRow(TypedDict):
    """The data: where from, how many pictures and classes, how split, and the hash that identifies it."""

    name: str
    source: str | None
    fingerprint: str | None
    pictures: int | None
    classes: int | None
    split: dict[str, int] | None


class Provenance(TypedDict):
    """All it takes to run it again."""

    command: str | None
    seed: int | None
    versions: dict[str, str] | None
    data: SetRow | None
    date: str | None
    machine: object
    recipe: dict[str, object] | None


class Report(TypedDict):
    """The whole report; `confusion` has a row per true class, `curves` a row per epoch."""

    network: NetworkRow
    budget: dict[str, float] | None
    cost: CostRow
    test: Tested | None
    measured: Measured | None
    candidates: list[Candidate] | None
    provenance: Provenance | None
    classes: list[str] | None
    confusion: list[list[int]] | None
    curves: list[CurveRow] | None
    mistakes: list[Mistake] | None
    model_file: str | None
    dropped_strides: int | None
    resolution: int | None
    next_commands: list[str] | None


def complete(partial: Mapping[str, Any]) -> Report:
    """Check a report and fill in what was not measured with None; numpy's numbers become Python's, NaN None.

    Raises   ReportError naming the first field that is missing or of another type.
    """
    report = cast("Report", _fit(_plain(partial), Report, ""))
    _check_numbers(report)
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
    if test and test["interval"] is not None and len(test["interval"]) != 2:
        raise ReportError(f"test.interval: {test['interval']} is not a low and a high end")
    confusion, classes = report["confusion"], report["classes"]
    if confusion is not None:
        side = len(confusion) if classes is None else len(classes)
        if len(confusion) != side or any(len(row) != side for row in confusion):
            raise ReportError(f"confusion: not a square of {side} classes; rows are true, columns predicted")
        if any(count < 0 for row in confusion for count in row):
            raise ReportError("confusion: a count is below 0")


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
