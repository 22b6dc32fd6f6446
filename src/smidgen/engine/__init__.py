"""A Program on the native kernels of this machine, with numpy as the only companion.

`Engine` runs a network. `listed` tells what its steps have to do. The module `clock` measures milliseconds
and memory of a prediction in fresh processes; `books` asks the system what else was going on meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.engine.engine import Engine
from smidgen.lazy import loaded_from

if TYPE_CHECKING:
    from smidgen.engine.profile import StepTime, listed

__all__ = ["Engine", "StepTime", "listed"]


# An engine that is called needs none of it.
__getattr__ = loaded_from(__name__, {"StepTime": "profile", "listed": "profile"})
