"""Networks as JSON values and back, without loss; fields at their default are left out."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

from smidgen.graph import nodes
from smidgen.graph.layers import join
from smidgen.graph.network import Aspect, Interpolation, Network, Preprocess
from smidgen.graph.nodes import Node, Padding, pad
from smidgen.graph.validate import MAX_DEPTH, validate
from smidgen.spec import Shape, TreeError

__all__ = ["from_json", "to_json"]

# "conv" <-> Conv, and so on for every node.
_CLASSES: dict[str, type[Node]] = {cls.__name__.lower(): cls for cls in get_args(nodes.Node)}

_LARGEST = 1 << 53  # integers beyond are not the same in every reader of JSON


def to_json(network: Network) -> dict[str, Any]:
    """Value for `json.dumps` that `from_json` turns back into an equal network."""
    preprocess = network.preprocess
    document: dict[str, Any] = {
        "name": network.name,
        "family": network.family,
        "input": list(network.input[:3]),
        "preprocess": {
            "resize": preprocess.resize,
            "interpolation": preprocess.interpolation,
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
        },
        "tree": _dump(network.tree),
    }
    if preprocess.aspect != "crop":
        document["preprocess"]["aspect"] = preprocess.aspect
    if network.classes:
        document["classes"] = list(network.classes)
    if network.dropped_strides:
        document["dropped_strides"] = network.dropped_strides
    return document


def from_json(document: Any) -> Network:
    """Network of a document by `to_json`; fields beside the tree that are not known are ignored.

    Raises   TreeError or ShapeError on anything that is not a valid network.
    """
    top = _mapping(document, "network")
    channels, height, width = _integers(top.get("input"), "input", 3)
    network = Network(
        name=_string(top.get("name"), "name"),
        family=_string(top.get("family"), "family"),
        tree=_load(top.get("tree"), "tree", 0),
        input=Shape(channels, height, width),
        preprocess=_preprocess(top.get("preprocess"), channels),
        classes=tuple(_string(name, "classes") for name in _list(top.get("classes", []), "classes")),
        dropped_strides=_integer(top.get("dropped_strides", 0), "dropped_strides"),
    )
    if not validate(network.tree, network.input).flat:
        raise TreeError("a classifier ends in flat features, not in a map; put a Flatten at its end")
    if network.dropped_strides < 0:
        raise TreeError(f"dropped_strides={network.dropped_strides} is negative")
    if network.classes and len(network.classes) != network.num_classes:
        raise TreeError(f"{len(network.classes)} class names for {network.num_classes} outputs")
    return network


def _preprocess(value: Any, channels: int) -> Preprocess:
    fields = _mapping(value, "preprocess")
    resize = _integer(fields.get("resize"), "resize")
    if not 1 <= resize <= 1 << 16:
        raise TreeError(f"resize={resize} is outside 1..65536")
    interpolation = _one_of(get_args(Interpolation), fields.get("interpolation"), "interpolation")
    mean, std = (
        tuple(_float(number, field) for number in _list(fields.get(field), field))
        for field in ("mean", "std")
    )
    if len(mean) != channels or len(std) != channels or min(std, default=0.0) <= 0:
        raise TreeError(f"preprocess needs a mean and a positive std for each of {channels} channels")
    aspect = _one_of(get_args(Aspect), fields.get("aspect", "crop"), "aspect")
    return Preprocess(resize, interpolation, mean, std, aspect)


# ── trees ────────────────────────────────────────────────────────────────────────────────────────


def _dump(node: Node) -> dict[str, Any]:
    document: dict[str, Any] = {"op": type(node).__name__.lower()}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if value == field.default:
            continue
        if field.name == "children":
            document["children"] = [[name, _dump(child)] for name, child in value]
        else:
            document[field.name] = _shorten(value)
    return document


def _shorten(value: Any) -> Any:
    """JSON form of a field; padding alike on all sides becomes one number."""
    if not isinstance(value, tuple):
        return value
    if value and value == pad(value[0][0]):
        return value[0][0]
    return [list(part) for part in value]


def _load(value: Any, path: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise TreeError(f"the tree is deeper than {MAX_DEPTH} levels")
    document = _mapping(value, path)
    op = _string(document.get("op"), f"{path}.op")
    cls = _CLASSES.get(op)
    if cls is None:
        raise TreeError(f"{path}: no operation {op!r:.40}; this version knows {', '.join(_CLASSES)}")
    fields = _fields(op)
    unknown = [name for name in document if name not in fields and name != "op"]
    missing = [name for name, (_, needed) in fields.items() if needed and name not in document]
    if unknown:
        raise TreeError(f"{path}: {op} has no field {unknown[0]!r:.40}")
    if missing:
        raise TreeError(f"{path}: {op} lacks its field '{missing[0]}'")
    arguments: dict[str, Any] = {
        name: _children(document[name], path, depth)
        if name == "children"
        else _READERS[kind](document[name], f"{path}.{name}")
        for name, (kind, _) in fields.items()
        if name in document
    }
    return cls(**arguments)


@functools.cache
def _fields(op: str) -> Mapping[str, tuple[str, bool]]:
    """Annotation of each field of an operation's node, and whether it must be there."""
    return {
        field.name: (str(field.type), field.default is dataclasses.MISSING)
        for field in dataclasses.fields(_CLASSES[op])
    }


def _children(value: Any, path: str, depth: int) -> nodes.Children:
    children = []
    for item in _list(value, path):
        if not isinstance(item, list) or len(item) != 2:
            raise TreeError(f"{path}: a child is a pair of name and node")
        name = _string(item[0], path)
        place = join(path, name[:40] if name.isprintable() else "?")
        children.append((name, _load(item[1], place, depth + 1)))
    return tuple(children)


# ── strict readers of JSON values ────────────────────────────────────────────────────────────────


def _shown(value: Any) -> str:
    """What came, short and on one line; a container is only named, for it may be large or deep."""
    if isinstance(value, list | dict | int) and not isinstance(value, bool):
        return f"{type(value).__name__}"
    return f"{value!r:.40}"


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TreeError(f"{path}: an object is needed, not {type(value).__name__}")
    return value


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise TreeError(f"{path}: a list is needed, not {type(value).__name__}")
    return value


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise TreeError(f"{path}: a string is needed, not {type(value).__name__}")
    return value


def _integer(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TreeError(f"{path}: an integer is needed, not {_shown(value)}")
    if abs(value) > _LARGEST:
        raise TreeError(f"{path}: an integer of {value.bit_length()} bits is too large")
    return value


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise TreeError(f"{path}: true or false is needed, not {_shown(value)}")
    return value


def _float(value: Any, path: str) -> float:
    if isinstance(value, int):
        return float(_integer(value, path))
    if not isinstance(value, float) or not math.isfinite(value):
        raise TreeError(f"{path}: a finite number is needed, not {_shown(value)}")
    return value


def _integers(value: Any, path: str, count: int) -> tuple[int, ...]:
    values = tuple(_integer(item, path) for item in _list(value, path))
    if len(values) != count:
        raise TreeError(f"{path}: {count} integers are needed, not {len(values)}")
    return values


def _one_of(choices: tuple[str, ...], value: Any, path: str) -> Any:
    if value not in choices:
        raise TreeError(f"{path}: {_shown(value)} is none of {', '.join(choices)}")
    return value


def _padding(value: Any, path: str) -> Padding:
    if value == "same":
        return "same"
    if isinstance(value, int):
        return pad(_integer(value, path))
    rows = [_integers(item, path, 2) for item in _list(value, path)]
    if len(rows) != 2:
        raise TreeError(f"{path}: padding is a number, two pairs, or 'same'")
    (top, bottom), (left, right) = rows
    return ((top, bottom), (left, right))


def _runs(value: Any, path: str) -> tuple[tuple[int, ...], ...]:
    return tuple(_integers(item, path, 3) for item in _list(value, path))


# By the annotation of the field, so that a new field of a known type needs no line here.
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "int": _integer,
    "bool": _boolean,
    "float": _float,
    "Padding": _padding,
    "Init": functools.partial(_one_of, get_args(nodes.Init)),
    "ActivationKind": functools.partial(_one_of, get_args(nodes.ActivationKind)),
    "PoolKind": functools.partial(_one_of, get_args(nodes.PoolKind)),
    "tuple[tuple[int, int, int], ...]": _runs,
}
