"""Smidgen's own engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen import native
from smidgen.bench.rivals import Call
from smidgen.engine import Engine
from smidgen.graph import Preprocess
from smidgen.images import decode, normalise, resize
from smidgen.spec import Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE, PRECISION = "smidgen", "fp32"


def available() -> str:
    """Why the native kernels cannot run."""
    return native.missing()


def settings(shifts: bool) -> tuple[str, ...]:  # noqa: ARG001 (as every rival)
    """Nothing to choose."""
    return ("",)


def artefact(model: Path, setting: str, batch: int, folder: Path) -> Path:  # noqa: ARG001
    """The model file."""
    return model


def prepare(artefact: Path, threads: int, setting: str) -> Call:  # noqa: ARG001
    """The engine."""
    return Engine(artefact, threads)


def read(picture: str, shape: list[int], preprocess: dict[str, Any]) -> NDArray[np.float32]:
    """As `smidgen predict` reads it."""
    channels, height, width = shape
    wanted, how = Shape(channels, height, width), Preprocess(**preprocess)
    return normalise(resize(decode(picture, channels), wanted, how)[None], how)
