"""A model beside other runtimes, in turns: each rival in a process of its own.

`time_rivals` times them on a `Bench`; a `Comparison` holds a `Timing` for each rival and batch size. A file
in `rivals/` is the registration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from

if TYPE_CHECKING:
    from smidgen.bench.runner import Bench, Comparison, Timing, time_rivals

# Public name -> file that defines it.
_HOMES = {
    "Bench": "runner",
    "Comparison": "runner",
    "Timing": "runner",
    "time_rivals": "runner",
}

__all__ = [
    "Bench",
    "Comparison",
    "Timing",
    "time_rivals",
]

__getattr__ = loaded_from(__name__, _HOMES)
