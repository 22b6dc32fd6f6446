"""PyTorch's compiler, with constants folded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from smidgen.bench.plain import read
from smidgen.bench.rivals import Call, absent
from smidgen.bench.torch_module import FORMS, artefact, loaded

__all__ = ["PACKAGE", "PRECISION", "artefact", "available", "prepare", "read", "settings"]

PACKAGE, PRECISION = "torch", "fp32"


def available() -> str:
    """Why it cannot run."""
    compilers = (os.environ.get("CXX", ""), "g++", "clang++")
    no_compiler = "" if any(map(shutil.which, compilers)) else "needs a C++ compiler"
    return absent("torch", extra="train") or no_compiler


def settings(shifts: bool) -> tuple[str, ...]:
    """Form of the shifts."""
    return tuple(f"nhwc{form}" for form in FORMS[shifts])


def prepare(artefact: Path, threads: int, setting: str) -> Call:
    """The module, compiled at its first call."""
    import torch
    from torch._inductor import config

    config.freezing = True
    return loaded(artefact, threads, setting, lambda module: torch.compile(module, dynamic=False))
