"""A Program on the native kernels of this machine, with numpy as the only companion.

`Engine` runs a network. `listed` tells what its steps have to do. The module `clock` measures milliseconds
and memory of a prediction in fresh processes; `books` asks the system what else was going on meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smidgen.engine.engine import Engine

if TYPE_CHECKING:
    from smidgen.engine.profile import StepTime, listed

__all__ = ["Engine", "StepTime", "listed"]


def __getattr__(name: str) -> Any:
    """Loaded when first used: an engine that is called needs none of it."""
    if name not in ("StepTime", "listed"):
        raise AttributeError(f"module 'smidgen.engine' has no attribute '{name}'")
    from smidgen.engine import profile

    return getattr(profile, name)
