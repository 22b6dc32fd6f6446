"""JSON and back: without loss for what is valid, one line for everything else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_trees import classifiers, examples, maps
from smidgen import families
from smidgen.graph import Chain, Conv, Flatten, Network, Preprocess, Shift, from_json, pad, to_json
from smidgen.spec import Shape, ShapeError, TreeError


def through_text(network: Network) -> Network:
    return from_json(json.loads(json.dumps(to_json(network), allow_nan=False)))


# ── round trips ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", families.names())
def test_every_network_comes_back_equal(name: str) -> None:
    net = families.network(name)
    assert through_text(net) == net


@examples(100)
@given(st.data())
def test_random_networks_come_back_equal(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, out = data.draw(classifiers(x))
    numbers = st.floats(0.001, 1, allow_nan=False)
    net = Network(
        name=data.draw(st.text(max_size=9)),
        family="any",
        tree=tree,
        input=x,
        preprocess=Preprocess(
            data.draw(st.integers(1, 65536)),
            data.draw(st.sampled_from(["bilinear", "bicubic"])),
            tuple(data.draw(numbers) for _ in range(x.channels)),
            tuple(data.draw(numbers) for _ in range(x.channels)),
            data.draw(st.sampled_from(["crop", "squash", "pad"])),
        ),
        classes=data.draw(st.sampled_from([(), tuple(f"class {i}" for i in range(out.channels))])),
        dropped_strides=data.draw(st.integers(0, 5)),
    )
    back = through_text(net)
    assert back == net
    assert back.cost() == net.cost()


def test_padding_that_differs_between_sides_survives() -> None:
    tree = Chain((("0", Conv(1, 1, 3, padding=((0, 1), (1, 0)))), ("1", Flatten())))
    net = Network("n", "f", tree, Shape(1, 4, 4), Preprocess(4, "bilinear", (0.5,), (0.5,)))
    assert through_text(net) == net


def test_defaults_are_left_out() -> None:
    document = to_json(families.network("squeezenet1_1"))
    assert document["tree"]["children"][0][1]["children"][0][1] == {
        "op": "conv", "c_in": 3, "c_out": 64, "kernel": 3, "stride": 2, "bias": True, "init": "he_uniform",
    }  # fmt: skip
    assert "classes" not in document
    assert to_json(dataclass_identity())["tree"]["children"][0] == ["identity", {"op": "chain"}]


def dataclass_identity() -> Network:
    tree = Chain((("identity", Chain()), ("flatten", Flatten())))
    return Network("n", "f", tree, Shape(1, 2, 2), Preprocess(2, "bilinear", (0.5,), (0.5,)))


def test_padding_alike_on_all_sides_is_one_number() -> None:
    tree = Chain((("0", Conv(9, 1, 3, padding=pad(1))), ("1", Flatten())))
    net = Network("n", "f", tree, Shape(9, 2, 2), Preprocess(2, "bilinear", (0.5,) * 9, (0.5,) * 9))
    assert to_json(net)["tree"]["children"][0][1]["padding"] == 1


def test_runs_of_equal_numbers_are_not_taken_for_padding() -> None:
    tree = Chain((("0", Shift(((2, 2, 2), (2, 2, 2)))), ("1", Flatten())))
    net = Network("n", "f", tree, Shape(4, 2, 2), Preprocess(2, "bilinear", (0.5,) * 4, (0.5,) * 4))
    assert through_text(net) == net


def test_unknown_fields_beside_the_tree_are_ignored() -> None:
    document = to_json(families.network("resnet20"))
    document["from_a_later_version"] = {"x": [1]}
    assert from_json(document) == families.network("resnet20")


# ── hostile documents ────────────────────────────────────────────────────────────────────────────────


def good() -> dict[str, Any]:
    """A small valid document with one of everything."""
    conv = {"op": "conv", "c_in": 3, "c_out": 4, "kernel": 3, "padding": [[1, 1], [0, 2]]}
    inner = {"op": "chain", "children": [["n", {"op": "batchnorm", "channels": 4, "eps": 0.001}]]}
    residual = {"op": "sum", "drop_path": 0.1, "children": [["", {"op": "chain"}], ["block", inner]]}
    pool = {"op": "pool", "kind": "max", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    gate = {"op": "gate", "children": [["avgpool", {"op": "globalpool"}], ["fc", {**conv, "c_in": 4, "kernel": 1, "padding": 0}]]}  # fmt: skip  # noqa: E501
    shift = {"op": "shift", "runs": [[3, -1, 0], [1, 0, 0]]}
    concat = {"op": "concat", "children": [["", {"op": "chain"}], ["again", {"op": "activation", "kind": "relu"}]]}  # fmt: skip  # noqa: E501
    steps = [conv, residual, pool, gate, shift, concat, {"op": "globalpool"}, {"op": "flatten"}]
    steps += [{"op": "dropout", "p": 0.2}, {"op": "linear", "c_in": 8, "c_out": 2}]
    return {
        "name": "n",
        "family": "f",
        "input": [3, 8, 8],
        "preprocess": {"resize": 8, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3},
        "tree": {"op": "chain", "children": [[str(i), step] for i, step in enumerate(steps)]},
        "classes": ["cat", "dog"],
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def refused(document: Any) -> str:
    with pytest.raises((TreeError, ShapeError)) as caught:
        from_json(document)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_the_document_that_the_hostile_ones_are_made_from_is_valid() -> None:
    assert from_json(good()).num_classes == 2


def test_a_crop_is_not_written_so_that_files_of_before_are_the_same() -> None:
    network = from_json(good())
    assert network.preprocess.aspect == "crop"
    assert "aspect" not in to_json(network)["preprocess"]


def test_an_aspect_that_is_not_known_is_refused_with_those_that_are() -> None:
    told = refused(replaced(good(), ("preprocess", "aspect"), "stretch"))
    assert "stretch" in told
    assert "crop, squash, pad" in told


def at(*path: Any) -> tuple[Any, ...]:
    """Path inside the tree: numbers are children."""
    keys: list[Any] = ["tree"]
    for key in path:
        keys += ["children", key, 1] if isinstance(key, int) else [key]
    return tuple(keys)


DEEP: list[Any] = []
for _ in range(700):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), 3),
        (("name",), None),
        (("family",), ["f"]),
        (("input",), [3, 8]),
        (("input",), [3, 8, True]),
        (("input",), [3.0, 8, 8]),
        (("input",), [3, 0, 8]),
        (("input",), [3, -8, 8]),
        (("input",), [3, 10**400, 8]),
        (("input",), [3, 1 << 25, 8]),
        (("input",), "388"),
        (("input",), [DEEP, 8, 8]),
        (("preprocess",), None),
        (("preprocess", "resize"), 0),
        (("preprocess", "resize"), 1 << 40),
        (("preprocess", "interpolation"), "nearest"),
        (("preprocess", "interpolation"), DEEP),
        (("preprocess", "interpolation"), {}),
        (("preprocess", "aspect"), "stretch"),
        (("preprocess", "aspect"), None),
        (("preprocess", "aspect"), DEEP),
        (("preprocess", "mean"), [0.5, 0.5]),
        (("preprocess", "mean"), [0.5, 0.5, float("nan")]),
        (("preprocess", "mean"), [0.5, 0.5, float("inf")]),
        (("preprocess", "mean"), [0.5, 0.5, 10**400]),
        (("preprocess", "std"), [0.5, 0.5, 0.0]),
        (("preprocess", "std"), [0.5, 0.5, -1]),
        (("preprocess", "std"), [float("nan"), 0.5, 0.5]),
        (("preprocess", "std"), [True, 0.5, 0.5]),
        (("classes",), ["cat"]),
        (("classes",), ["cat", 7]),
        (("classes",), "ab"),
        (("dropped_strides",), -1),
        (("dropped_strides",), 1.5),
        (("dropped_strides",), True),
        (at(), []),
        (at(), None),
        (at("op"), "evil"),
        (at("op"), "evil\nline"),
        (at("op"), ["chain"]),
        (at("op"), "node"),
        (at("children"), {}),
        (at("children"), [["a"]]),
        (at("children"), ["ab"]),
        (at("children"), [[3, {"op": "chain"}]]),
        (at("surprise\n"), 1),
        (at(0, "kernel"), True),
        (at(0, "kernel"), 3.0),
        (at(0, "kernel"), "3"),
        (at(0, "kernel"), 10**400),
        (at(0, "kernel"), -3),
        (at(0, "kernel"), 1 << 30),
        (at(0, "bias"), 1),
        (at(0, "init"), "evil"),
        (at(0, "init"), 3),
        (at(0, "padding"), True),
        (at(0, "padding"), "valid"),
        (at(0, "padding"), [[1, 1]]),
        (at(0, "padding"), [1, 1]),
        (at(0, "padding"), [[1, 1], [1, -1]]),
        (at(0, "padding"), -1),
        (at(1, "drop_path"), float("nan")),
        (at(1, "drop_path"), 10**400),
        (at(1, "drop_path"), "0.1"),
        (at(1, 1, 0, "eps"), float("inf")),
        (at(2, "kind"), "median"),
        (at(2, "padding"), 2),
        (at(4, "runs"), []),
        (at(4, "runs"), [[4, 0]]),
        (at(4, "runs"), [[4, 0, True]]),
        (at(4, "runs"), [4, 0, 0]),
        (at(5, "children"), []),
        (at(9), {"op": "chain"}),  # then 8 features for 2 class names
        (at(7), {"op": "chain"}),  # no Flatten before the Linear
    ],
)
def test_wrong_values_are_refused_in_one_line(path: tuple[Any, ...], value: Any) -> None:
    refused(replaced(good(), path, value))


@pytest.mark.parametrize("document", [None, [], "network", 3, True, {}])
def test_what_is_no_network_is_refused(document: Any) -> None:
    refused(document)


def test_missing_fields_are_named() -> None:
    document = good()
    del document["tree"]["children"][0][1]["c_out"]
    assert "c_out" in refused(document)


def test_unknown_fields_in_the_tree_are_named() -> None:
    assert "strides" in refused(replaced(good(), at(0, "strides"), 2))


def test_map_at_the_end_is_no_classifier() -> None:
    document = good()
    del document["classes"]
    document["tree"]["children"] = document["tree"]["children"][:6]
    assert "Flatten" in refused(document)


@pytest.mark.parametrize("name", ["forward", "_modules", "state_dict", "a.b", "A", "", "train", "x\ny"])
def test_names_that_would_harm_the_module_are_refused(name: str) -> None:
    document = good()
    document["tree"]["children"][0][0] = name
    refused(document)


def test_names_that_meet_after_hoisting_are_refused() -> None:
    document = good()
    hidden = {"op": "chain", "children": [["0", {"op": "activation", "kind": "relu"}]]}
    document["tree"]["children"].append(["", hidden])
    assert "two children are called '0'" in refused(document)


def test_depth_of_a_document_is_limited_before_the_recursion_is() -> None:
    node: dict[str, Any] = {"op": "chain"}
    for _ in range(5000):
        node = {"op": "chain", "children": [["a", node]]}
    assert "deeper" in refused({**good(), "tree": node})


def test_a_long_list_of_children_is_refused_quickly() -> None:
    leaf = {"op": "activation", "kind": "relu"}
    children = [[str(index), leaf] for index in range(50_001)]
    assert "nodes" in refused({**good(), "tree": {"op": "chain", "children": children}})


PLACES = places(good())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["chain", "conv", "sum", "same", 10**30, -1, 0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["op", "children", "c_in", "p"]) | st.text(max_size=3), inner, max_size=3
    ),
    max_leaves=6,
)  # fmt: skip


@examples(400)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=2))
def test_mutated_documents_are_read_or_refused_but_nothing_else(changes: list[tuple[Any, Any]]) -> None:
    document = good()
    for path, value in changes:
        try:
            document = replaced(document, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # the first change took the second one's place away
    message, network = "", None
    try:
        network = from_json(document)
    except (TreeError, ShapeError) as error:
        message = str(error)
    assert "\n" not in message
    if network is not None:
        assert from_json(json.loads(json.dumps(to_json(network)))) == network
