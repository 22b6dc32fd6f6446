"""Locks that a forked child makes anew: another thread may have held them then, and never lets go there."""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["Guard"]


class Guard:
    """Holds a lock, which is a new one in every child that this process forks: `with guard.lock:`.

    The attribute is looked up each time. A block that the fork itself interrupts lets go of the lock that it
    took, and not of the child's.
    """

    lock: threading.Lock

    def __init__(self) -> None:
        self.renew()
        _guards.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self.lock = threading.Lock()


# WeakSet, for weak references with callbacks of one's own end scripts with a traceback: when the interpreter
# ends, callbacks may outlive what they call.
_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def _renew() -> None:
    for guard in _guards:
        guard.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
