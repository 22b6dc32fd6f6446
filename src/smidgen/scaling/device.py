"""A device as its own measurements describe it, and the milliseconds of any network on it.

`smidgen info --measure -o device.json` makes the file on the device, with the core install alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from smidgen import atomic, native
from smidgen.engine.work import Work, listed
from smidgen.graph import Network
from smidgen.machine import machine_name
from smidgen.scaling.latency import Peaks, StepModel
from smidgen.spec import SmidgenError

__all__ = ["Device", "DeviceError", "read", "write"]

FORMAT = 1


class DeviceError(SmidgenError):
    """A device file that is missing or is none, or a device that cannot be measured."""


@dataclass(frozen=True)
class Device:
    """Times of fused steps on one machine, at batch 1 in float32.

    machine   the processor's name
    isa       instruction set of the kernels
    threads   that a prediction uses
    library   of the kernels; another one has other times
    peaks     see `Peaks`
    call_ms   milliseconds of a call, whatever the network
    input_ns  nanoseconds of a call for each number of the input
    share     time of a whole network over that of its steps, timed one by one
    error     that nine of ten predictions kept within, as a share, of networks that nothing was learnt from
    steps     milliseconds of each step that was timed
    made      version of smidgen, and date
    """

    machine: str
    isa: str
    threads: int
    library: str
    peaks: Peaks
    call_ms: float
    input_ns: float
    share: float
    error: float
    steps: Mapping[Work, float]
    made: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.machine}, {self.isa}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def latency_ms(self, network: Network) -> float:
        """Milliseconds that the engine takes for one picture, as predicted from the steps.

        Raises   ShapeError, ModelFileError where the engine cannot run the network.
        """
        steps = self._model.ms(listed(network))
        return self.call_ms + 1e-6 * self.input_ns * network.input.numel + self.share * steps

    def bound_ms(self, network: Network) -> float:
        """Milliseconds that a network stays within nineteen times in twenty: the prediction and its error.

        Raises   as `latency_ms`.
        """
        return self.latency_ms(network) * (1 + self.error)

    @cached_property
    def here(self) -> bool:
        """Whether it is this machine, with these kernels."""
        return not native.missing() and (self.machine, self.isa, self.library) == (
            machine_name(), native.isa(), native.fingerprint(),
        )  # fmt: skip

    @cached_property
    def _model(self) -> StepModel:
        return StepModel(self.steps, self.peaks)


def write(path: Path, device: Device) -> None:
    """Write a device file in one step. Raises DeviceError where the disk refuses."""
    fields = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
    columns = [*Work._fields, "ms"]
    document = {"format": FORMAT, **fields, "peaks": device.peaks._asdict(), "columns": columns, "steps": []}
    head, _, tail = json.dumps(document, indent=1).rpartition("[]")
    rows = ([*step, round(ms, 6)] for step, ms in device.steps.items())
    lines = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, f"{head}[\n  {lines}\n ]{tail}\n")
    except OSError as error:
        raise DeviceError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was changed"
        ) from error


def read(path: Path) -> Device:
    """Read a device file.

    Raises   DeviceError, in one line, on anything else.
    """
    advice = f"`smidgen info --measure -o {path.name}` on the device makes it"
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DeviceError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from None
    except ValueError:
        raise DeviceError(f"{path}: not a device file; {advice}") from None
    if isinstance(document, dict) and document.get("format") not in (None, FORMAT):
        raise DeviceError(f"{path}: format {document['format']!r}, but this version reads {FORMAT}; {advice}")
    try:
        return _device(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceError(f"{path}: not a whole device file ({error!r:.80}); {advice}") from None


def _device(document: dict[str, Any]) -> Device:
    rows = [dict(zip(document["columns"], row, strict=True)) for row in document["steps"]]
    steps = {Work(**{name: row[name] for name in Work._fields}): _positive(row["ms"]) for row in rows}
    if not steps:
        raise ValueError("no steps")
    peaks = document["peaks"]
    return Device(
        machine=str(document["machine"]),
        isa=str(document["isa"]),
        threads=int(document["threads"]),
        library=str(document["library"]),
        peaks=Peaks(_positive(peaks["gflops"]), _positive(peaks["copies"]), int(_positive(peaks["panel"]))),
        call_ms=float(document["call_ms"]),
        input_ns=float(document["input_ns"]),
        share=_positive(document["share"]),
        error=_positive(document["error"]),
        steps=steps,
        made=dict(document["made"]),
    )


def _positive(value: Any) -> float:
    if not 0 < float(value) < float("inf"):
        raise ValueError(f"{value} where a positive number is needed")
    return float(value)
