"""Named data sets. A file in this folder is the registration of the set that bears its name.

Such a file defines

    SOURCE   citation, with the licence, as it stands in reports
    read()   returns the `Dataset`; its name is the file's, with hyphens for underscores

and where the set is not part of smidgen

    download(progress)  fetches it; called only when the user asks for it
"""

from __future__ import annotations

import importlib
from types import ModuleType

from smidgen.data.dataset import Dataset
from smidgen.download import ByteProgress
from smidgen.lazy import registered
from smidgen.spec import DataError, closest

__all__ = ["download", "load", "names"]


def names() -> tuple[str, ...]:
    """Names of all sets, sorted."""
    return registered(__path__)


def load(name: str) -> Dataset:
    """Read a set by name; the network is not used.

    Raises   DataError when there is no such set (the message lists those that exist), or when it is not on
             this machine.
    """
    dataset: Dataset = _module(name).read()
    return dataset


def download(name: str, progress: ByteProgress | None = None) -> None:
    """Fetch a set into the cache, unless it is on this machine already.

    progress  called with (bytes so far, bytes in all)
    Raises    DataError when there is no such set, or when it cannot be fetched.
    """
    fetch = getattr(_module(name), "download", None)
    if fetch is not None:
        fetch(progress)


def _module(name: str) -> ModuleType:
    if name not in names():
        raise DataError(f"no set '{name}'; {closest(name, names())}sets are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
