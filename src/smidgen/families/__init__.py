"""The families: a file each, and the file is the registration.

A family file defines `FAMILY`; nothing else has to know about it.
"""

from __future__ import annotations

import dataclasses
import functools
import pkgutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from smidgen.families.family import Family, InitChoice, Option, Request, default_preprocess
from smidgen.graph import Network, Node, trunk_end
from smidgen.lazy import registration
from smidgen.spec import Shape, ShapeError, SmidgenError, UnknownNameError, closest, counted

__all__ = [
    "Family",
    "InitChoice",
    "Option",
    "Request",
    "default_preprocess",
    "families",
    "family_of",
    "names",
    "network",
    "realise",
]

SMALLEST_MAP = 4  # pixels that the last map keeps on each side, where the default drops strides
MOST_STRIDES = 16  # more than any network here has
MOST_DROPOUT = 0.999

_COMMON_OPTIONS = ("num_classes", "c_in", "resolution", "dropout", "dropped_strides", "init")


@functools.cache
def families() -> Mapping[str, Family]:
    """All families by name, in alphabetical order of their files.

    Raises   SmidgenError that names a file which does not import, has no family, or one that is there.
    """
    found: dict[str, Family] = {}
    places: dict[str, str] = {}
    for file in sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name != "family"):
        module = registration(__name__, file)
        family, place = getattr(module, "FAMILY", None), str(module.__file__)
        if not isinstance(family, Family):
            raise SmidgenError(
                f"{place}: no family, for it has no FAMILY of class Family; see docs/families.md"
            )
        if family.name in found:
            raise SmidgenError(f"{place}: {places[family.name]} defines the family {family.name} already")
        found[family.name], places[family.name] = family, place
    return found


def names(pattern: str = "*") -> tuple[str, ...]:
    """Every buildable name that matches a shell pattern, such as `efficientnet*`."""
    return tuple(name for name in _variants() if fnmatchcase(name, pattern))


def network(
    name: str,
    *,
    num_classes: int | None = None,
    c_in: int = 3,
    resolution: int | None = None,
    dropout: float | None = None,
    dropped_strides: int | None = None,
    init: InitChoice | None = None,
    **own: Any,
) -> Network:
    """Network of a published variant.

    num_classes      default: those of the data set it was made for (1000, or 10 for the CIFAR networks)
    resolution       side of the pictures in pixels; default: the variant's own
    dropped_strides  strides, first ones first, that become 1; default: as few as keep the last map at
                     4 x 4 or more, so 0 at the variant's own resolution
    init             "paper" or "torchvision", the convention of initial weights; default: the family's
    own              options of single families, such as order="paper" for the shift networks
    Raises           UnknownNameError, or SmidgenError where the options cannot be met.
    """
    family, row = family_of(name), _row(name)
    request = Request(
        num_classes=row.num_classes if num_classes is None else num_classes,
        c_in=c_in,
        resolution=row.resolution if resolution is None else resolution,
        dropout=dropout,
        init=init,
        own=own,
    )
    return realise(family, row, name, request, dropped_strides)


def realise(
    family: Family,
    row: Any,
    name: str,
    request: Request,
    dropped_strides: int | None = None,
    *,
    known: bool = False,
) -> Network:
    """Network of any row, published or scaled.

    known    a sister of it has so many strides to drop: no need to look
    Raises   SmidgenError where the request cannot be met; ShapeError on more dropped strides than there are.
    """
    _check(request, dropped_strides)
    request = _with_own(family, request, name)
    shape = Shape(request.c_in, request.resolution, request.resolution)
    if dropped_strides is None:
        dropped_strides, tree = _least_dropped(family, row, request, shape)
    else:
        tree = family.build(row, _with_dropped(request, dropped_strides))
        if not known:
            _require_dropped(family, row, name, _with_dropped(request, dropped_strides), tree)
    preprocess = default_preprocess(request.c_in, request.resolution)
    return Network(name, family.name, tree, shape, preprocess, dropped_strides=dropped_strides)


def family_of(name: str) -> Family:
    """Family that offers the variant `name`; raises UnknownNameError."""
    if name not in _variants():
        raise UnknownNameError(f"no '{name}'; {closest(name, _variants())}`smidgen models` lists all")
    return families()[_variants()[name]]


@functools.cache
def _variants() -> Mapping[str, str]:
    """Variant -> family."""
    return {name: family.name for family in families().values() for name in family.variants}


def _row(name: str) -> Any:
    return family_of(name).variants[name]


def _with_dropped(request: Request, dropped: int) -> Request:
    return dataclasses.replace(request, dropped_strides=dropped)


def _least_dropped(family: Family, row: Any, request: Request, shape: Shape) -> tuple[int, Node]:
    """Fewest dropped strides that keep the last map at SMALLEST_MAP (or the whole picture), and the tree."""
    wanted = min(SMALLEST_MAP, request.resolution)
    for dropped in range(MOST_STRIDES + 1):
        tree = family.build(row, _with_dropped(request, dropped))
        try:
            end = trunk_end(tree, shape)
        except ShapeError:
            continue  # the picture vanished on the way: drop more
        if min(end.height, end.width) >= wanted:
            return dropped, tree
    raise ShapeError(f"pictures of {request.resolution} pixels are too small for {family.name}")


def _require_dropped(family: Family, row: Any, name: str, request: Request, tree: Node) -> None:
    """See that the last dropped stride was there to drop, so that equal trees have one number of them."""
    there = request.dropped_strides
    while there and family.build(row, _with_dropped(request, there - 1)) == tree:
        there -= 1
    if there < request.dropped_strides:
        strides = counted(there, "stride")
        raise ShapeError(f"{name} has {strides}; dropped_strides={request.dropped_strides} is more")


def _check(request: Request, dropped_strides: int | None) -> None:
    for field, value, low, high in (
        ("num_classes", request.num_classes, 1, 1_000_000),
        ("c_in", request.c_in, 1, 4096),
        ("resolution", request.resolution, 1, 16_384),
        ("dropped_strides", 0 if dropped_strides is None else dropped_strides, 0, MOST_STRIDES),
    ):
        if not isinstance(value, int) or not low <= value <= high:
            raise SmidgenError(f"{field}={value!r} is not an integer in {low}..{high}")
    dropout = 0 if request.dropout is None else request.dropout
    if not isinstance(dropout, int | float) or not 0 <= dropout <= MOST_DROPOUT:
        raise SmidgenError(f"dropout={dropout!r} is no number in 0..{MOST_DROPOUT}")
    if request.init not in (None, "paper", "torchvision"):
        raise SmidgenError(f"no init '{request.init}'; there are paper and torchvision")


def _with_own(family: Family, request: Request, name: str) -> Request:
    """The request with its own options as the family reads them. Raises SmidgenError."""
    own = {option.name: option for option in family.options}
    known = (*own, *_COMMON_OPTIONS)
    for given in request.own:
        if given not in own:
            raise SmidgenError(
                f"{family.name} has no option '{given}'; {closest(given, known)}it has {', '.join(known)}"
            )
    if misplaced := family.misplaced(request.own, name):
        told, one = ", ".join(option.name for option in misplaced), len(misplaced) == 1
        raise SmidgenError(f"{told}: only {misplaced[0].only} takes {'it' if one else 'them'}")
    values = {given: own[given].checked(value) for given, value in request.own.items()}
    return dataclasses.replace(request, own=values)
