"""OpenVINO on the processor, in fp32: left to itself it takes bf16 where the processor has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.bench.onnx_file import artefact
from smidgen.bench.plain import read
from smidgen.bench.rivals import Call, absent
from smidgen.bench.shift_forms import FORMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PACKAGE", "PRECISION", "artefact", "available", "prepare", "read", "settings"]

PACKAGE, PRECISION = "openvino", "fp32"


def available() -> str:
    """Why it cannot run."""
    return absent("onnx", "openvino", extra="export")


def settings(shifts: bool) -> tuple[str, ...]:
    """Form of the shifts."""
    return FORMS[shifts]


def prepare(artefact: Path, threads: int, setting: str) -> Call:  # noqa: ARG001 (the form is in the file)
    """One stream on all threads."""
    import openvino

    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    request = openvino.Core().compile_model(str(artefact), "CPU", config).create_infer_request()

    def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
        request.infer({0: x}, share_inputs=True, share_outputs=True)
        answer: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        return answer

    return call
