"""PyTorch, layer by layer."""

from __future__ import annotations

from pathlib import Path

from smidgen.bench.plain import read
from smidgen.bench.rivals import Call, absent
from smidgen.bench.torch_module import FORMS, artefact, loaded

__all__ = ["PACKAGE", "PRECISION", "artefact", "available", "prepare", "read", "settings"]

PACKAGE, PRECISION = "torch", "fp32"


def available() -> str:
    """Why it cannot run."""
    return absent("torch", extra="train")


def settings(shifts: bool) -> tuple[str, ...]:
    """Memory format, and form of the shifts."""
    return tuple(f"{layout}{form}" for layout in ("nhwc", "nchw") for form in FORMS[shifts])


def prepare(artefact: Path, threads: int, setting: str) -> Call:
    """The module as it is."""
    return loaded(artefact, threads, setting, lambda module: module)
