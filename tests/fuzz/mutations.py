"""Model files that are wrong in every way: real ones, changed by a seed; one seed, one file."""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.numpy

from smidgen import families
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Network,
    Node,
    Pool,
    Preprocess,
    Shift,
    Sum,
    from_json,
    pad,
    tensors,
    to_json,
)
from smidgen.modelfile import METADATA_KEY
from smidgen.spec import Shape, SmidgenError

__all__ = ["mutated"]

Json = Any

# Of numbers that sizes, offsets and counts are replaced by: around what the kernels and the format can hold.
NUMBERS: list[Any] = [
    *(
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        15,
        16,
        17,
        31,
        32,
        33,
        64,
        255,
        256,
        257,
        1000,
        1023,
        1024,
        1025,
        4096,
        65535,
    ),
    *(2**20, 2**24 - 1, 2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64),
    *(-1, -2, -3, -(2**24), -(2**31), -(2**63), 10**30, 10**400),
]
SIZES = NUMBERS[:30]
OFFSETS = [0, 0, 1, -1, 2, -3, 100, -100, 2**24, -(2**24), 2**24 + 1]
HARMLESS: list[Any] = [
    {"op": "chain"},
    *({"op": "activation", "kind": kind} for kind in ("relu", "relu6", "silu", "sigmoid")),
    *({"op": "pool", "kind": kind, "kernel": 3, "stride": 1, "padding": 1} for kind in ("max", "avg")),
    {"op": "gate", "children": [["factor", {"op": "globalpool"}]]},
    {"op": "sum", "children": [["", {"op": "chain"}], ["b", {"op": "activation", "kind": "relu"}]]},
    {"op": "sum", "children": [["a", {"op": "chain"}], ["b", {"op": "chain"}]]},
    {"op": "concat", "children": [["a", {"op": "chain"}]]},
]
VALUES: list[Any] = [
    *(*NUMBERS, 0.0, -0.0, 0.5, 1.5, 1e-300, 1e308, float("nan"), float("inf"), float("-inf")),
    *(
        None,
        True,
        False,
        "",
        "x",
        "same",
        "1",
        "\x00\n\x1b[31m",
        "é日\u2028",
        "x" * 70000,
        "../../etc/passwd",
    ),
    *([], {}, [[]], [[1, 2], [3, 4]], [[1, 2, 3]], [1, 2, 3], {"op": "relu"}, {"op": "identity"}, {"op": 3}),
    *(
        {"op": name}
        for name in ("conv", "shift", "pool", "chain", "sum", "gate", "concat", "linear", "flatten")
    ),
]
WEIGHTS = (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e30, 1e-45, -1e-45, -1.0, 0.0, -1e-5)


def mutated(seed: int) -> bytes:
    """The model file of a seed."""
    draw = random.Random(seed)
    change = draw.choices([change for change, _ in CHANGES], [weight for _, weight in CHANGES])[0]
    return change(draw)


# ── the files that are changed ───────────────────────────────────────────────────────────────────────


def _named(*children: Node) -> Chain:
    return Chain(tuple((f"n{number}", child) for number, child in enumerate(children)))


def _small_trees() -> list[tuple[Node, Shape]]:
    """Every node and every way in which the engine joins them, with few weights."""
    squeeze = (GlobalPool(), Conv(8, 2, bias=True), Activation("silu"), Conv(2, 8, bias=True))
    gate = Gate((("factor", _named(*squeeze, Activation("sigmoid"))),))
    mobile = _named(
        Conv(4, 8),
        BatchNorm(8),
        Activation("silu"),
        Conv(8, 8, 3, padding="same", groups=8),
        BatchNorm(8),
        Activation("silu"),
        gate,
        Conv(8, 4),
        BatchNorm(4),
    )
    fire = Concat(
        (("a", _named(Conv(4, 3, bias=True), Activation("relu"))), ("b", Conv(4, 5, 3, padding=pad(1))))
    )
    shifts = _named(
        BatchNorm(8), Activation("relu"), Conv(8, 6), Shift(((1, 0, 1), (2, -1, 0), (3, 0, 0))), Conv(6, 8)
    )
    head = (GlobalPool(), Flatten(), Dropout(0.2), Linear(8, 2))
    stem = (Conv(3, 4, 3, 2, pad(1)), BatchNorm(4), Activation("relu6"))
    residual = Sum((("", Chain()), ("block", mobile)), drop_path=0.1)
    return [
        (_named(*stem, residual, fire, Pool("max", 3, 2, ceil_mode=True), *head), Shape(3, 12, 12)),
        (_named(*stem, fire, Sum((("", Chain()), ("block", shifts))), *head), Shape(3, 9, 10)),
        (
            _named(
                Pool("avg", 2, 2, 1),
                Conv(3, 8, 5, dilation=2, padding=pad(4)),
                Conv(8, 8, 3, groups=2),
                Conv(8, 8, 7, 3, pad(3), groups=8),
                Activation("sigmoid"),
                GlobalPool(),
                Flatten(),
                Linear(8, 2),
            ),
            Shape(3, 8, 9),
        ),
        (
            _named(Conv(3, 16, 3, padding=pad(1)), Conv(16, 16, 3, padding=pad(1)), *head[:2]),
            Shape(3, 12, 12),
        ),
    ]


@functools.cache
def _networks() -> list[Network]:
    small = [
        Network(f"small{number}", "fuzz", tree, shape, Preprocess(max(shape[1:3])))
        for number, (tree, shape) in enumerate(_small_trees())
    ]
    real = [families.network("shiftresnet20_e1", num_classes=2, resolution=8)]
    return 3 * small + real


def _arrays(network: Network, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.uniform(-0.2, 0.3, tensor.shape).astype(np.float32)
        if tensor.shape and not tensor.name.endswith("running_var")
        else np.ones(tensor.shape, np.float32 if tensor.shape else np.int64)
        for tensor in tensors(network.tree)
    }


@functools.cache
def _file(number: int) -> bytes:
    network = _networks()[number]
    return _saved(json.dumps(_document(to_json(network))), _arrays(network))


def _document(network: Json) -> Json:
    return {
        "format": [1, 0],
        "network": network,
        "numerics": {"weights": "float32"},
        "provenance": {"seed": 3},
    }


def _saved(document: str, arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    saved: bytes = safetensors.numpy.save(arrays, {METADATA_KEY: document})
    return saved


def _any_file(draw: random.Random) -> bytes:
    return _file(draw.randrange(len(_networks())))


def _header_size(content: bytes | bytearray) -> int:
    return 8 + int.from_bytes(content[:8], "little")


# ── changes of bytes ─────────────────────────────────────────────────────────────────────────────────


def _flip_bits(draw: random.Random) -> bytes:
    content = bytearray(_any_file(draw))
    for _ in range(draw.choice([1, 1, 2, 8, 100])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def _truncate(draw: random.Random) -> bytes:
    content = _any_file(draw)
    return (
        content[: draw.randrange(len(content))]
        if draw.random() < 0.8
        else content + draw.randbytes(draw.randint(1, 99))
    )


def _header_byte(draw: random.Random) -> bytes:
    content = bytearray(_any_file(draw))
    place = draw.randrange(8) if draw.random() < 0.2 else draw.randrange(_header_size(content))
    content[place] = draw.choice(
        [0, 0x20, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x5B, 0x7B, 0x80, 0xFF, draw.randrange(256)]
    )
    return bytes(content)


def _lie_about_tensors(draw: random.Random) -> bytes:
    content = _any_file(draw)
    size = _header_size(content)
    header = json.loads(content[8:size])
    name = draw.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    match draw.randrange(6):
        case 0:
            entry["data_offsets"][draw.randrange(2)] = draw.choice(NUMBERS)
        case 1:
            entry["shape"] = [draw.choice(NUMBERS) for _ in range(draw.randrange(9))]
        case 2:
            entry["dtype"] = draw.choice(
                ["F64", "F16", "BF16", "I8", "U8", "BOOL", "F8_E4M3", "F4", "", "X", "I64"]
            )
        case 3:
            header[draw.choice(["more", "", "x" * 5000, "a\nb"])] = header.pop(name)
        case 4:
            del header[name]
        case _:
            entry[draw.choice(["shape", "data_offsets", "dtype", "novelty"])] = draw.choice(VALUES)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[size:]


def _odd_weights(draw: random.Random) -> bytes:
    network = draw.choice(_networks())
    arrays = _arrays(network)
    names = [name for name, array in arrays.items() if array.size > 1]
    for name in draw.sample(names, draw.choice([1, 1, 2, len(names)])):
        value = draw.choice(WEIGHTS)
        arrays[name].flat[draw.randrange(arrays[name].size) if draw.random() < 0.5 else slice(None)] = value
    return _saved(json.dumps(_document(to_json(network))), arrays)


# ── changes of the document ──────────────────────────────────────────────────────────────────────────


def _replace_somewhere(draw: random.Random, place: Json, values: list[Any], whole: float) -> None:
    """Put a value in place of a number or text, or, with the probability `whole`, of a whole part."""
    while True:
        if isinstance(place, list) and place:
            key: Any = draw.randrange(len(place))
        elif isinstance(place, dict) and place:
            key = draw.choice(sorted(place))
        else:
            return
        if not isinstance(place[key], list | dict) or draw.random() < whole:
            place[key] = copy.deepcopy(draw.choice(values))
            return
        place = place[key]


def _nodes(tree: Json) -> list[Json]:
    found = [tree]
    for _, child in tree.get("children", []):
        found += _nodes(child)
    return found


def _any_document(draw: random.Random) -> tuple[Json, dict[str, np.ndarray[Any, Any]]]:
    network = draw.choice(_networks())
    return json.loads(json.dumps(_document(to_json(network)))), _arrays(network)


def _edit_document(draw: random.Random) -> bytes:
    document, arrays = _any_document(draw)
    for _ in range(draw.choice([1, 1, 2, 4])):
        part: Json = document if draw.random() < 0.3 else document.get("network")
        _replace_somewhere(draw, part, VALUES, 0.1)
    return _saved(json.dumps(document), arrays)


def _edit_text(draw: random.Random) -> bytes:
    document, arrays = _any_document(draw)
    text = json.dumps(document)
    place = draw.randrange(len(text))
    piece = draw.choice(
        ["[" * 5000, "{", "}", ",", '"', "\\u0000", "\\ud800", "1e9999", "-", "NaN", "9" * 5000, text]
    )
    return _saved(text[:place] + piece + text[place + draw.randrange(3) :], arrays)


def _bury(draw: random.Random) -> bytes:
    """A tree under many others, or with very many children."""
    document, arrays = _any_document(draw)
    network = document["network"]
    count = draw.choice([10, 60, 64, 65, 500, 5000])
    if draw.random() < 0.5:
        op = draw.choice(["chain", "sum", "gate", "concat"])
        text = json.dumps(network["tree"])
        network["tree"] = None
        buried = f'{{"op": "{op}", "children": [["", ' * count + text + "]]}" * count
        return _saved(json.dumps(document).replace('"tree": null', f'"tree": {buried}'), arrays)
    extra = draw.choice(
        [
            {"op": "activation", "kind": "relu"},
            {"op": "chain"},
            {"op": "pool", "kind": "max", "kernel": 1, "stride": 1},
        ]
    )
    if draw.random() < 0.5:
        extra = {
            "op": draw.choice(["sum", "concat", "gate"]),
            "children": [["", {"op": "chain"}]] * draw.choice([1, 2]),
        }
    children = network["tree"]["children"]
    at = draw.randrange(len(children))
    children[at:at] = [[f"more{number}", extra] for number in range(count)]
    return _saved(json.dumps(document), arrays)


def _hostile_but_consistent(draw: random.Random) -> bytes:
    """Sizes that nobody would choose, with the weights that belong to them: many reach the engine."""
    document, arrays = _any_document(draw)
    network = document["network"]
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        nodes = _nodes(network["tree"])
        sized = [node for node in nodes if node["op"] in ("conv", "pool", "shift", "batchnorm")]
        parents = [node for node in nodes if node.get("children")]
        action = draw.random()
        if action < 0.55 and sized:
            _hostile_field(draw, draw.choice(sized))
        elif action < 0.65:
            network["input"][1:] = [draw.choice(SIZES), draw.choice(SIZES)]
        elif action < 0.9 and parents:
            _rearrange(draw, draw.choice(parents)["children"])
        else:
            _replace_somewhere(draw, draw.choice(nodes), VALUES, 0.0)
    _fit_head(network)
    return _saved(json.dumps(document), _matching(network, arrays))


def _hostile_field(draw: random.Random, node: Json) -> None:
    match node["op"]:
        case "conv":
            field = draw.choice(["kernel", "stride", "dilation", "padding", "padding", "groups"])
            odd = [[draw.choice(SIZES), draw.choice(SIZES)], [draw.choice(SIZES), draw.choice(SIZES)]]
            node[field] = (
                draw.choice([odd, draw.choice(SIZES), "same"]) if field == "padding" else draw.choice(SIZES)
            )
            if field in ("kernel", "dilation") and draw.random() < 0.8:
                node["padding"] = "same"
        case "pool":
            field = draw.choice(["kernel", "kernel", "stride", "padding", "ceil_mode", "count_include_pad"])
            whole = field in ("kernel", "stride", "padding")
            node[field] = draw.choice(SIZES) if whole else draw.random() < 0.5
            if field == "kernel" and draw.random() < 0.7:
                node["padding"] = node["kernel"] // 2
        case "shift":
            channels = sum(run[0] for run in node["runs"] if isinstance(run[0], int)) % 999
            runs = draw.choice([[1] * channels, [channels], [channels - 1, 1]])
            node["runs"] = [[count, *(draw.choice(OFFSETS) for _ in range(2))] for count in runs]
        case _:
            node["eps"] = draw.choice([0, 1, 1e-300, 0.5])


def _rearrange(draw: random.Random, children: list[Json]) -> None:
    """Children beside, around or in place of others; most of it leaves the shapes as they were."""
    place = draw.randrange(len(children))
    name, child = children[place]
    match draw.randrange(6):
        case 0:
            del children[place]
        case 1:
            draw.shuffle(children)
        case 2:
            children.insert(place, ["again", copy.deepcopy(draw.choice(children)[1])])
        case 3:
            around = draw.choice(["chain", "sum", "gate", "concat"])
            beside = [["", {"op": "chain"}]] if around == "sum" and draw.random() < 0.8 else []
            children[place] = [name or "named", {"op": around, "children": [*beside, ["inner", child]]}]
        case _:
            children.insert(place, [f"more{draw.randrange(99)}", copy.deepcopy(draw.choice(HARMLESS))])


def _fit_head(network: Json) -> None:
    """Give the Linear at the end as many inputs as reach it."""
    try:
        *others, (_, last) = network["tree"]["children"]
        before = from_json(network | {"tree": network["tree"] | {"children": others}})
        if last["op"] == "linear":
            last["c_in"] = before.num_classes
    except (SmidgenError, ValueError, TypeError, KeyError, AttributeError):
        return


def _wide(draw: random.Random) -> bytes:
    """Very many channels or groups, where the file stays small."""
    channels = draw.choice([255, 256, 257, 300, 1024, 4096, 2**16, 2**20, 2**24])
    groups = draw.choice([1, 2, channels // 2, channels])
    kernel = draw.choice([1, 1, 2, 3, 7, 33])
    runs = ((1, 0, 1),) * channels if channels <= 4096 else ((channels, 1, -1),)
    middle: list[Node] = [Conv(channels, channels, kernel, padding="same", groups=groups), Shift(runs)]
    middle += [Conv(channels, 2, 1), Activation("relu"), Pool("avg", 1, 1)]
    draw.shuffle(middle)
    tree = _named(
        Conv(1, channels, 1), *middle[: draw.randint(1, 3)], *draw.choice([(), (GlobalPool(),)]), Flatten()
    )
    network = Network(
        "wide",
        "fuzz",
        tree,
        Shape(1, draw.randint(1, 3), draw.randint(1, 3)),
        Preprocess(4, mean=(0.5,), std=(0.5,)),
    )
    document = to_json(network)
    return _saved(json.dumps(_document(document)), _matching(document, {}))


def _matching(network: Json, otherwise: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """The weights that belong to a network, where it is one and they are not too many."""
    try:
        found = from_json(json.loads(json.dumps(network)))
    except (SmidgenError, ValueError):
        return otherwise
    numbers = sum(int(np.prod(tensor.shape, dtype=object)) for tensor in tensors(found.tree))
    return _arrays(found) if numbers <= 2**18 else otherwise


Change = Callable[[random.Random], bytes]
CHANGES: list[tuple[Change, float]] = [
    (_flip_bits, 1),
    (_truncate, 0.5),
    (_header_byte, 2),
    (_lie_about_tensors, 1),
    (_odd_weights, 1),
    (_edit_document, 2),
    (_edit_text, 0.5),
    (_bury, 0.25),
    (_hostile_but_consistent, 5),
    (_wide, 0.5),
]
