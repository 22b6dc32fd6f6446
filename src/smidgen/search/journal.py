"""The journal of a study: Optuna's, under a lock that the system frees when its holder dies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

if TYPE_CHECKING:
    import optuna

__all__ = ["opened"]


def opened(path: Path, lock: filelock.FileLock) -> optuna.Study:
    """The Optuna study in a journal, made where there is none.

    lock  held for every write; Optuna's own lock files outlive whoever is killed with them
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    class Held(JournalFileOpenLock):
        """The study's own lock, which the system frees when its holder dies."""

        def __init__(self) -> None:
            """Nothing of its own."""

        def acquire(self) -> bool:
            """Wait for the lock, and cut off what a machine that lost its power left half written."""
            lock.acquire()
            _mend(path)
            return True

        def release(self) -> None:
            """Free it, or leave it to the caller who held it before."""
            lock.release()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(path), Held()))
    return optuna.create_study(
        storage=storage, study_name="search", direction="maximize", load_if_exists=True
    )


def _mend(path: Path) -> None:
    """Cut off a last line without an end."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
