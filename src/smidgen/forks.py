"""What a forked child makes anew: locks, which another thread may have held then, and never lets go there."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

__all__ = ["renew_in_children"]

_renewing: set[weakref.WeakMethod[Callable[[], None]]] = set()


def renew_in_children(renew: Callable[[], None]) -> None:
    """Call a bound method first thing in every child that this process forks while its object lives."""
    _renewing.add(weakref.WeakMethod(renew, _renewing.discard))


def _renew() -> None:
    for method in _renewing.copy():
        renew = method()
        if renew is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
