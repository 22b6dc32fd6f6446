"""ONNX Runtime on the processor."""

from __future__ import annotations

from pathlib import Path

from smidgen.bench.onnx_file import artefact
from smidgen.bench.plain import read
from smidgen.bench.rivals import Call, absent
from smidgen.bench.shift_forms import FORMS

__all__ = ["PACKAGE", "PRECISION", "artefact", "available", "prepare", "read", "settings"]

PACKAGE, PRECISION = "onnxruntime", "fp32"


def available() -> str:
    """Why it cannot run."""
    return absent("onnx", "onnxruntime", extra="export")


def settings(shifts: bool) -> tuple[str, ...]:
    """Whether its threads spin or sleep where they wait, and the form of the shifts."""
    return tuple(f"{wait} {form}".strip() for wait in ("spin", "sleep") for form in FORMS[shifts])


def prepare(artefact: Path, threads: int, setting: str) -> Call:
    """A session with all optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    spins = "1" if "spin" in setting else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spins)
    session = onnxruntime.InferenceSession(str(artefact), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]
