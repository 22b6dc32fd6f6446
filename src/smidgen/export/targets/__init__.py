"""What networks are exported to. A file in this folder is the registration of the target of its name.

Every file has the names of `Target`. `smidgen export --help` loads them all: a package that a format needs is
imported when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from smidgen.export.depthwise import ShiftForm, Tensors
from smidgen.graph import Network
from smidgen.lazy import absent, registered, registration
from smidgen.spec import DependencyError, SmidgenError, UnknownNameError, closest

__all__ = ["Content", "Options", "Target", "Tensors", "load", "names", "require_options", "require_packages"]

Content: TypeAlias = Mapping[str, bytes]  # of the files of an export, by their suffix


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen of an export; None where nothing was.

    shift  what becomes of a shift: pad, slice and concatenate, or a one-hot depthwise convolution
    batch  pictures at once; default: any number, where the format can say so
    """

    shift: ShiftForm | None = None
    batch: int | None = None

    def given(self) -> tuple[str, ...]:
        """Names of those that were chosen."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


class Target(Protocol):
    """What a file of this folder holds.

    SUMMARY   what it writes and who reads it, in one line
    SUFFIXES  of the files that it writes, which have one stem; the first is the one that the user names
    OPTIONS   names of the fields of `Options` that it heeds
    PACKAGES  that must be installed to write it; all in the extra `export`
    """

    SUMMARY: str
    SUFFIXES: tuple[str, ...]
    OPTIONS: tuple[str, ...]
    PACKAGES: tuple[str, ...]

    def content(self, network: Network, tensors: Tensors, options: Options) -> Content:
        """The files, the same bytes each time. Raises SmidgenError where it cannot say the network."""

    def usage(self, network: Network, options: Options) -> dict[str, Any]:
        """What `smidgen.export.usage` says of its input and output."""

    def is_ours(self, path: Path) -> bool:
        """Whether a file that exists is of this target, and as it was written."""


_PARTS = [*Target.__annotations__, *(part for part in vars(Target) if not part.startswith("_"))]


def names() -> tuple[str, ...]:
    """Names of all targets."""
    return registered(__path__)


def load(name: str) -> Target:
    """The target of this name. Raises UnknownNameError; SmidgenError that names the file where it is none."""
    if name not in names():
        listed = ", ".join(names())
        raise UnknownNameError(f"no target '{name}'; {closest(name, names())}targets are {listed}")
    module = registration(__name__, name.replace("-", "_"))
    if lacking := [part for part in _PARTS if not hasattr(module, part)]:
        raise SmidgenError(f"{module.__file__}: no target, for it has no {' and no '.join(lacking)}")
    return cast("Target", module)


def require_options(name: str, options: Options) -> None:
    """Refuse what the target would not heed. Raises SmidgenError."""
    heeded = load(name).OPTIONS
    for given in options.given():
        if given not in heeded:
            those = " and ".join(f"--{option}" for option in heeded) or "no options"
            raise SmidgenError(f"--{given}: {name} has no such option; it has {those}")


def require_packages(name: str) -> None:
    """See that what writes the target is installed. Raises DependencyError."""
    if needs := absent(*load(name).PACKAGES, extra="export"):
        raise DependencyError(f"{name} {needs}")
