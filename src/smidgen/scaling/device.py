"""A device as its own measurements describe it, and the milliseconds of any network on it.

`smidgen info --measure -o device.json` makes the file on the device, with the core install alone.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from smidgen import atomic, native
from smidgen.engine import listed
from smidgen.graph import Network
from smidgen.graph.nodes import ActivationKind
from smidgen.machine import cores, machine_name
from smidgen.program import KINDS, Work
from smidgen.scaling.latency import Peaks, StepModel
from smidgen.spec import SmidgenError, counted

__all__ = ["Device", "DeviceError", "read", "write"]

FORMAT = 1
MOST_THREADS = 1024
LARGEST = 2**40  # of any number in a file
DOUBTFUL = 0.25  # error from which something else ran beside the measuring; alone it is about a tenth
_SIZES = ("kernel", "stride", "c_in", "c_out", "height", "width")


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
    late      by what share the slowest of twenty of these took longer than was predicted; at least 0
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
    late: float
    steps: Mapping[Work, float]
    made: Mapping[str, str]

    def doubt(self) -> str:
        """What to know where its times are worth little, in a line; else nothing."""
        if self.error <= DOUBTFUL:
            return ""
        return (
            f"{self} was busy while it was measured: one prediction in ten is {100 * self.error:.0f} % off, "
            "or more; `smidgen info --measure` on the idle device does it anew"
        )

    def __str__(self) -> str:
        return f"{self.machine}, {self.isa}, {counted(self.threads, 'thread')}"

    def predicted_ms(self, network: Network) -> float:
        """Milliseconds that the engine takes for one picture, as predicted from the steps.

        Raises   ShapeError, ModelFileError where the engine cannot run the network.
        """
        steps = self._model.ms(listed(network))
        return self.call_ms + 1e-6 * self.input_ns * network.input.numel + self.share * steps

    def bound_ms(self, network: Network) -> float:
        """Milliseconds that nineteen of twenty networks stay within: longer than what is predicted.

        Raises   as `predicted_ms`.
        """
        return self.predicted_ms(network) * (1 + self.late)

    @cached_property
    def here(self) -> bool:
        """Whether it is this machine, with these kernels and as many cores."""
        if native.missing() or self.threads > cores():
            return False
        here = (machine_name(), native.isa(), native.fingerprint())
        return here == (self.machine, self.isa, self.library)

    @cached_property
    def _model(self) -> StepModel:
        return StepModel(self.steps, self.peaks)


def write(path: Path, device: Device) -> None:
    """Write a device file in one step. Raises DeviceError where the disk refuses."""
    fields = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
    columns = [*Work._fields, "ms"]
    document = {"format": FORMAT, **fields, "peaks": device.peaks._asdict(), "columns": columns, "steps": []}
    head, _, tail = json.dumps(document, indent=1).rpartition("[]")
    rows = ([*step, max(round(ms, 6), 1e-6)] for step, ms in device.steps.items())
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
    advice = f"`smidgen info --measure -o {shlex.quote(path.name)}` on the device makes it"
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DeviceError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from None
    except (ValueError, RecursionError):
        raise DeviceError(f"{path}: not a device file; {advice}") from None
    if isinstance(document, dict) and document.get("format") not in (None, FORMAT):
        raise DeviceError(f"{path}: format {document['format']!r}, but this version reads {FORMAT}; {advice}")
    try:
        return _device(document)
    except KeyError as error:
        raise DeviceError(
            f"{path}: a device file without {error.args[0]}, cut or too old; {advice}"
        ) from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DeviceError(f"{path}: not a whole device file ({error!s:.80}); {advice}") from None


def _device(document: dict[str, Any]) -> Device:
    rows = [dict(zip(document["columns"], row, strict=True)) for row in document["steps"]]
    steps = {_work(row): ms for row in rows if (ms := _number(row.pop("ms"), least=1e-6))}
    if not steps:
        raise ValueError("no steps")
    peaks = document["peaks"]
    return Device(
        machine=_text(document["machine"]),
        isa=_text(document["isa"]),
        threads=_whole(document["threads"], 1, MOST_THREADS),
        library=_text(document["library"]),
        peaks=Peaks(
            _number(peaks["gflops"], least=1e-3),
            _number(peaks["copies"], least=1e-3),
            _whole(peaks["panel"], 2, LARGEST),
        ),
        call_ms=_number(document["call_ms"]),
        input_ns=_number(document["input_ns"]),
        share=_number(document["share"], least=1e-3),
        error=_number(document["error"]),
        late=_number(document["late"]),
        steps=steps,
        made={_text(key): _text(value) for key, value in document["made"].items()},
    )


def _work(row: Mapping[str, Any]) -> Work:
    """A step, every part of it checked: predictions take logarithms of its sizes."""
    if row["kind"] not in KINDS or row["activation"] not in (None, *get_args(ActivationKind)):
        raise ValueError(f"no step of kind {row['kind']!r} and activation {row['activation']!r}")
    checked: dict[str, Any] = {name: _whole(row[name], 1, LARGEST) for name in _SIZES}
    checked |= {name: _whole(row[name], 0, LARGEST) for name in ("narrow", "runs")}
    checked |= {name: bool(row[name]) for name in ("before", "gated", "added", "planar")}
    return Work(**{**row, **checked})


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.40} where a whole number from {least} to {most} is needed")
    return value


def _number(value: Any, least: float = 0.0) -> float:
    if type(value) not in (int, float) or not least <= value <= LARGEST:
        raise ValueError(f"{value!r:.40} where a number from {least:g} is needed")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r:.40} where a line of text is needed")
    return value
