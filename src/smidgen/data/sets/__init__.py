"""Named data sets. A file in this folder is the registration of the set that bears its name.

Such a file defines

    SOURCE   citation, with the licence, as it stands in reports
    read()   returns the `Dataset`; its name is the file's, with hyphens for underscores
"""

from __future__ import annotations

import importlib
import pkgutil

from smidgen.data.dataset import Dataset
from smidgen.spec import DataError, closest

__all__ = ["load", "names"]


def names() -> tuple[str, ...]:
    """Names of all sets, sorted."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Dataset:
    """Read a set by name.

    Raises   DataError when there is no such set; the message lists those that exist.
    """
    if name not in names():
        raise DataError(f"no set '{name}'; {closest(name, names())}sets are {', '.join(names())}")
    dataset: Dataset = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").read()
    return dataset
