"""What is loaded when it is first used, so that nobody waits for the others: public names (PEP 562), and the
files that are registrations.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from smidgen.spec import SmidgenError

__all__ = ["absent", "loaded_from", "registered", "registration"]


def loaded_from(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package.

    homes   public name -> file of the package that defines it
    """

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return attribute


def registered(places: Iterable[str]) -> tuple[str, ...]:
    """Names of the files that somebody put into a package, sorted, with hyphens for underscores.

    places  the package's `__path__`
    """
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(places)))


def absent(*packages: str, extra: str) -> str:
    """Which of the packages are not installed, and what to do; empty where all are."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"needs {' and '.join(missing)}: pip install 'smidgen[{extra}]'" if missing else ""


def registration(package: str, file: str) -> ModuleType:
    """The module of a file that somebody put into a package. Raises SmidgenError where it does not import."""
    try:
        return importlib.import_module(f"{package}.{file}")
    except Exception as error:
        spec = importlib.util.find_spec(f"{package}.{file}")
        place = spec.origin if spec else file
        raise SmidgenError(f"{place}: cannot be imported ({type(error).__name__}: {error})") from error
