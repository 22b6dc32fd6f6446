"""The fields of a report: what each part of `report.json` holds, as types that reading checks."""

from __future__ import annotations

from typing import TypedDict

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
    "Predicted",
    "Provenance",
    "Report",
    "Rung",
    "SetRow",
    "StartingPoint",
    "Teacher",
    "Tested",
]


class NetworkRow(TypedDict):
    """Which network the run ended with."""

    name: str
    family: str


class CostRow(TypedDict):
    """What it costs for one picture, as `Cost` counts.

    weight_bytes  the model file as saved
    int8_bytes    the model file that it would be with its weights in int8
    """

    params: int
    macs: int
    peak_bytes: int | None
    weight_bytes: int | None
    int8_bytes: int | None


class Tested(TypedDict):
    """The one look at the test split; accuracies are fractions, the interval is Wilson's at 95 %.

    top5_accuracy      None where there are 5 classes or fewer
    balanced_accuracy  mean recall of the classes that have test pictures
    calibration_error  expected calibration error over 15 bins of equal width
    """

    accuracy: float
    interval: list[float] | None
    n: int
    top5_accuracy: float | None
    balanced_accuracy: float | None
    calibration_error: float | None


class Bin(TypedDict):
    """Test pictures of like confidence: their mean confidence, the share called right, their number."""

    confidence: float
    accuracy: float
    n: int


class NoneOfThese(TypedDict):
    """From which score on an answer is believed; below it the answer is "none of these".

    score          what is compared with the threshold
    kept           share of the validation pictures at or above it
    n              validation pictures it was chosen on
    kept_accuracy  share of the kept that were called right
    """

    score: str
    threshold: float
    kept: float
    n: int
    kept_accuracy: float | None


class Latency(TypedDict):
    """Milliseconds for one picture in a fresh process: median, 95th percentile, and what it was measured on.

    doubt  why they may be wrong, where the machine never became quiet
    """

    value: float
    p95: float | None
    device: str
    precision: str
    threads: int | None
    doubt: str | None


class Memory(TypedDict):
    """Bytes that one prediction took, what exactly was metered, and on what."""

    value: int
    what: str
    device: str
    precision: str


class Predicted(TypedDict):
    """Milliseconds for one picture as a device file foretells them.

    here   whether the device is the machine that measured
    error  that nine of ten predictions keep within, as a share
    """

    value: float
    device: str
    here: bool
    error: float
    threads: int


class Measured(TypedDict):
    """What a clock or a meter said; `note` says why something was not measured."""

    latency_ms: Latency | None
    predicted_ms: Predicted | None
    memory: Memory | None
    size_bytes: int | None
    note: str | None


class Limit(TypedDict):
    """How the network stands to one limit of the budget; worked out anew whenever a report is read.

    unit    as `Budget` has it
    limit   what it allows, in that unit
    value   what the network takes
    known   how the value is known: "counted", "measured" or "predicted"
    device  that milliseconds belong to
    holds   None where it cannot be told
    why     it cannot be told, or how far the value can be trusted
    """

    unit: str
    limit: float
    value: float | None
    known: str | None
    device: str | None
    holds: bool | None
    why: str | None


class Rung(TypedDict):
    """How far one candidate was after so many epochs of the contest."""

    epochs: int
    val_accuracy: float | None
    seconds: float | None


class Candidate(TypedDict):
    """One network that was trained against the others; latency_ms predicted.

    val_accuracy  a fraction: what they were compared by, balanced where the contest's note says so
    """

    name: str
    family: str
    params: int
    macs: int
    peak_bytes: int | None
    weight_bytes: int | None
    int8_bytes: int | None
    latency_ms: float | None
    val_accuracy: float | None
    epochs: int | None
    seconds: float | None
    chosen: bool
    rungs: list[Rung] | None


class ContestRung(TypedDict):
    """One round: how long every candidate had trained, how many took part, how well their order held.

    spearman   rank correlation of the validation accuracies of neighbouring rungs
    """

    epochs: int
    candidates: int
    spearman: float | None


class Contest(TypedDict):
    """Successive halving: after each rung about one in `eta` goes on."""

    eta: float | None
    rungs: list[ContestRung]
    note: str | None


class Teacher(TypedDict):
    """The network whose answers were imitated."""

    name: str
    params: int | None
    val_accuracy: float | None


class StartingPoint(TypedDict):
    """What the training began with: "scratch", "weights" (named in `weights`) or a "teacher"."""

    kind: str
    weights: str | None
    teacher: Teacher | None


class CurveRow(TypedDict):
    """One epoch of the chosen network's training; accuracies are fractions, seconds run from its start."""

    epoch: int
    step: int | None
    lr: float | None
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    val_balanced_accuracy: float | None
    seconds: float | None


class Mistake(TypedDict):
    """A test picture that was called wrong; true and predicted are class names, or indices into `classes`."""

    name: str
    true: str | int
    predicted: str | int
    confidence: float
    png_base64: str | None


class SetRow(TypedDict):
    """The data: where from, how many pictures and classes, how split, and the hash that identifies it.

    near_identical  pairs of pictures in two parts that are nearly the same
    aspect          what became of pictures that are not square: crop, squash or pad
    cut_away        share of its area that the median training picture would lose in a crop to a square
    """

    name: str
    source: str | None
    fingerprint: str | None
    pictures: int | None
    classes: int | None
    split: dict[str, int] | None
    near_identical: int | None
    aspect: str | None
    cut_away: float | None


class Provenance(TypedDict):
    """All it takes to run it again; `starts` says when the work was begun and taken up."""

    command: str | None
    seed: int | None
    versions: dict[str, str] | None
    data: SetRow | None
    date: str | None
    machine: object
    recipe: dict[str, object] | None
    time_limit_s: float | None
    starts: list[str] | None


class Report(TypedDict):
    """The whole report; `limits` has a row per limit of the budget, `confusion` one per true class, `curves`
    one per epoch.
    """

    network: NetworkRow
    budget: dict[str, float] | None
    limits: list[Limit] | None
    cost: CostRow
    test: Tested | None
    reliability: list[Bin] | None
    none_of_these: NoneOfThese | None
    measured: Measured | None
    candidates: list[Candidate] | None
    contest: Contest | None
    starting_point: StartingPoint | None
    provenance: Provenance | None
    classes: list[str] | None
    confusion: list[list[int]] | None
    curves: list[CurveRow] | None
    mistakes: list[Mistake] | None
    model_file: str | None
    dropped_strides: int | None
    resolution: int | None
    next_commands: list[str] | None
