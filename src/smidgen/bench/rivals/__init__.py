"""Who runs networks, and how. A file in this folder is the registration of the rival that bears its name.

Every file has the names of `Rival`. `prepare` and `read` are called in a process of the rival's own, and what
is imported at the top of its file counts for its cold start.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from smidgen.lazy import absent, registered
from smidgen.spec import UnknownNameError, closest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Call", "Rival", "absent", "load", "names"]

Call: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float32]]"


class Rival(Protocol):
    """What a file of this folder holds.

    PACKAGE    name of the distribution and of the package whose native libraries are its own
    PRECISION  of its arithmetic
    """

    PACKAGE: str
    PRECISION: str

    def available(self) -> str:
        """Why it cannot run here; empty where it can."""

    def settings(self, shifts: bool) -> tuple[str, ...]:
        """What it may choose from, each a few words; `shifts` says whether the network has any."""

    def artefact(self, model: Path, setting: str, batch: int, folder: Path) -> Path:
        """What it reads, made from a model file, written into the folder where it is not the model file."""

    def prepare(self, artefact: Path, threads: int, setting: str) -> Call:
        """Load; the call takes float32[N, C, H, W], dense, and gives the network's outputs."""

    def read(self, picture: str, shape: list[int], preprocess: dict[str, Any]) -> NDArray[np.float32]:
        """A picture's file as float32[1, C, H, W]; the arguments are fields of `Network`."""


def names() -> tuple[str, ...]:
    """Names of all rivals, Smidgen's own first."""
    return tuple(sorted(registered(__path__), key=lambda name: name != "smidgen"))


def load(name: str) -> Rival:
    """The rival of this name. Raises UnknownNameError."""
    if name not in names():
        raise UnknownNameError(f"no rival '{name}'; {closest(name, names())}rivals are {', '.join(names())}")
    return cast("Rival", importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
