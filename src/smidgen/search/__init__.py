"""The search for α, β and γ: a study that any number of processes work on.

    folder, found = search(Wanted("photos", "resnet", macs=(400_000, 800_000)), None, Watch())

`search` begins a study and works on it, `search_on` goes on with one; a `Study` is what its folder holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from

if TYPE_CHECKING:
    from smidgen.search.agenda import Agenda, Task
    from smidgen.search.grid import Wanted, search, search_on
    from smidgen.search.study import Study, TaskRow

# Public name -> file that defines it.
_HOMES = {
    "Agenda": "agenda",
    "Study": "study",
    "Task": "agenda",
    "TaskRow": "study",
    "Wanted": "grid",
    "search": "grid",
    "search_on": "grid",
}

__all__ = [
    "Agenda",
    "Study",
    "Task",
    "TaskRow",
    "Wanted",
    "search",
    "search_on",
]

__getattr__ = loaded_from(__name__, _HOMES)
