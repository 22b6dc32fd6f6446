"""In what form a shift is given to rivals, none of which knows it: each takes the faster one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smidgen.export.depthwise import ShiftForm

__all__ = ["FORMS", "form"]

# By whether the network has shifts.
FORMS = {False: ("",), True: ("slices", "depthwise")}


def form(setting: str) -> ShiftForm:
    """The form of the shifts that a setting names."""
    return "depthwise" if "depthwise" in setting else "slices"
