import dataclasses
import functools
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from random_trees import classifiers
from smidgen import families, modelfile
from smidgen.graph import Network, Preprocess, tensors, to_json
from smidgen.modelfile import ModelFile
from smidgen.spec import ModelFileError, Shape

KEY = "smidgen"


def small(**changes: Any) -> Network:
    network = families.network("shiftresnet20_e1", num_classes=3, resolution=16)
    return dataclasses.replace(network, **changes)


def weights(network: Network, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random content for every tensor of the network."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.normal(size=tensor.shape).astype(np.float32) if tensor.shape else np.array(seed)
        for tensor in tensors(network.tree)
    }


@functools.cache
def content() -> bytes:
    """A model file of a tiny network, as bytes."""
    network = families.network("squeezenet_design", num_classes=2, resolution=8)
    tiny = families.network("shiftresnet20_e1", num_classes=2, resolution=8)
    chosen = min(network, tiny, key=modelfile.weight_bytes)
    return file_bytes(ModelFile(chosen, weights(chosen), {"seed": 3}))


def file_bytes(model: ModelFile) -> bytes:
    document = json.dumps(
        {"format": [1, 0], "network": to_json(model.network), "provenance": dict(model.provenance)}
    )
    saved: bytes = safetensors.numpy.save(dict(model.tensors), {KEY: document})
    return saved


def with_document(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The tiny model file with its document changed."""
    arrays = safetensors.numpy.load(content())
    size = int.from_bytes(content()[:8], "little")
    document = json.loads(json.loads(content()[8 : 8 + size])["__metadata__"][KEY])
    changed = change(document)
    text = json.dumps(document) if changed is None or not isinstance(changed, str) else changed
    saved: bytes = safetensors.numpy.save(arrays, {KEY: text})
    return saved


def refusal(path: Path, data: bytes | None = None) -> str:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        modelfile.read(path)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def read_or_refuse(path: Path) -> None:
    try:
        modelfile.read(path)
    except ModelFileError:
        refusal(path)


# -- round trips --------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_without_loss(tmp_path: Path) -> None:
    preprocess = Preprocess(18, "bicubic", (0.1, 0.2, 1 / 3), (0.4, 0.5, 0.6))
    network = small(classes=("a", 'q"uote\\', "日本 é\n"), preprocess=preprocess)
    provenance = {"seed": 7, "data": {"name": "ü", "split": {"train": 2}}, "list": [1, 2.5, None, True]}
    arrays = weights(network)
    modelfile.write(tmp_path / "m", ModelFile(network, arrays, provenance))
    back = modelfile.read(tmp_path / "m")
    assert back.network == network
    assert back.provenance == provenance
    assert back.tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(back.tensors[name], array, strict=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_network_survives_and_has_the_predicted_size(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = Shape(3, 9, 7)
    tree, out = data.draw(classifiers(shape))
    names = st.lists(st.text(max_size=9), min_size=out.channels, max_size=out.channels)
    network = Network(data.draw(st.text()), "family", tree, shape, Preprocess(9), tuple(data.draw(names)))
    path = tmp_path_factory.getbasetemp() / "smidgen-test"
    try:
        size = modelfile.write(path, ModelFile(network, weights(network)))
        assert size == path.stat().st_size == modelfile.weight_bytes(network)
        assert modelfile.read(path).network == network
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name",
    [name for name in families.names() if families.network(name, resolution=64).cost().params < 6_000_000],
)
def test_the_size_of_the_file_is_known_before_it_is_written(tmp_path: Path, name: str) -> None:
    network = families.network(name)
    arrays = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in tensors(network.tree)}
    arrays = {key: array if array.shape else array.astype(np.int64) for key, array in arrays.items()}
    path = tmp_path / "model"
    assert modelfile.write(path, ModelFile(network, arrays)) == modelfile.weight_bytes(network)
    assert path.stat().st_size == modelfile.weight_bytes(network)
    path.unlink()


@pytest.mark.parametrize("name", ["resnet20", "squeezenet1_1", "efficientnet_b0", "shiftnet_c"])
def test_the_size_in_int8_is_that_of_a_file_with_scales_beside_the_weights(name: str) -> None:
    network = families.network(name)
    document = {
        "format": [1, 0],
        "network": to_json(network),
        "numerics": {"weights": "int8"},
        "provenance": {"seed": 3},
    }
    metadata = {"smidgen": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for tensor in tensors(network.tree):
        if len(tensor.shape) >= 2:
            arrays[tensor.name] = np.zeros(tensor.shape, np.int8)
            arrays[f"{tensor.name}_scale"] = np.zeros(tensor.shape[0], np.float32)
        else:
            arrays[tensor.name] = np.zeros(tensor.shape, np.float32 if tensor.shape else np.int64)
    written = len(safetensors.numpy.save(arrays, metadata))
    assert modelfile.weight_bytes(network, {"seed": 3}, weights="int8") == written
    assert written < modelfile.weight_bytes(network, {"seed": 3}) / 2


@pytest.mark.parametrize(
    "classes", [("é" * 7, "日本語", '"\\\n'), ("\udce9", "b", "c"), ("\x00", "\u2028", "😀")]
)
def test_odd_class_names_cost_what_they_take(tmp_path: Path, classes: tuple[str, ...]) -> None:
    network = small(classes=classes)
    provenance = {"data": {"name": "\udce9 é"}}
    model = ModelFile(network, weights(network), provenance)
    size = modelfile.write(tmp_path / "m", model)
    assert size == modelfile.weight_bytes(network, provenance) == (tmp_path / "m").stat().st_size
    back = modelfile.read(tmp_path / "m")
    assert (back.network.classes, back.provenance) == (classes, provenance)


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    network, path = small(), tmp_path / "m"
    for padding in range(0, 300, 8):
        modelfile.write(path, ModelFile(network, weights(network), {"x": "x" * padding}))
        if path.read_bytes()[0] == 0x80:
            assert modelfile.read(path).network == network
            return
    pytest.fail("no length of 0x80 was met")


def test_the_same_input_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_modelfile as t; from pathlib import Path\n"
        "n = t.small(classes=('a', 'b', 'c'))\n"
        "t.modelfile.write(sys.argv[1], t.ModelFile(n, t.weights(n), {'b': 1, 'a': 2}))"
    )
    found = set()
    for seed in ("1", "2"):
        target = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", program, target, Path(__file__).parent],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.add(target.read_bytes())
    network = small(classes=("a", "b", "c"))
    backwards = dict(reversed(weights(network).items()))
    modelfile.write(tmp_path / "here", ModelFile(network, backwards, {"b": 1, "a": 2}))
    found.add((tmp_path / "here").read_bytes())
    assert len(found) == 1


def test_the_metadata_holds_one_key_with_one_document(tmp_path: Path) -> None:
    network = small()
    modelfile.write(tmp_path / "m", ModelFile(network, weights(network)))
    with safetensors.safe_open(tmp_path / "m", "numpy") as file:
        metadata = file.metadata()
        assert sorted(file.keys()) == sorted(weights(network))
    assert list(metadata) == [KEY]
    document = json.loads(metadata[KEY])
    assert document["format"] == [1, 0]
    assert document["numerics"] == {"weights": "float32"}


def test_arrays_in_any_memory_order_are_written_alike(tmp_path: Path) -> None:
    network = small()
    arrays = weights(network)
    other = {name: np.asfortranarray(array) if array.shape else array for name, array in arrays.items()}
    modelfile.write(tmp_path / "a", ModelFile(network, arrays))
    modelfile.write(tmp_path / "b", ModelFile(network, other))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- refusals when writing ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["missing", "shape", "unknown", "type", "big endian"])
def test_tensors_of_another_network_are_not_written(tmp_path: Path, case: str) -> None:
    network = small()
    arrays = weights(network)
    first = next(iter(arrays))
    match case:
        case "missing":
            del arrays[first]
        case "shape":
            arrays[first] = arrays[first][:1]
        case "unknown":
            arrays["more"] = arrays[first]
        case "type":
            arrays[first] = arrays[first].astype(np.float16)
        case _:
            arrays[first] = arrays[first].astype(">f4")
    with pytest.raises(ModelFileError, match="more" if case == "unknown" else first):
        modelfile.write(tmp_path / "m", ModelFile(network, arrays))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = small(), tmp_path / "m"
    modelfile.write(path, ModelFile(network, weights(network)))
    before = path.read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match="No space left on device"):
        modelfile.write(path, ModelFile(network, weights(network, seed=1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["no/m", "."])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    network = small()
    with pytest.raises(ModelFileError, match="cannot be written"):
        modelfile.write(tmp_path / place, ModelFile(network, weights(network)))


# -- refusals when reading ----------------------------------------------------------------------------


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = content()
    header = 8 + int.from_bytes(whole[:8], "little")
    lengths = {*range(12), header - 1, header, header + 1, len(whole) - 1, *range(0, len(whole), 997)}
    for length in lengths:
        refusal(tmp_path / "m", whole[:length])


def test_a_file_with_bytes_appended_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "m", content() + b"\0")


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_lie_about_the_length_of_the_header_is_refused(tmp_path: Path, size: int) -> None:
    refusal(tmp_path / "m", size.to_bytes(8, "little") + content()[8:])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_header_bytes_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    mutable = bytearray(content())
    header = 8 + int.from_bytes(mutable[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        mutable[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "smidgen-fuzz"
    path.write_bytes(mutable)
    read_or_refuse(path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_the_document_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        while True:
            if isinstance(place, list) and place:
                key: Any = data.draw(st.integers(0, len(place) - 1))
            elif isinstance(place, dict) and place:
                key = data.draw(st.sampled_from(sorted(place)))
            else:
                return
            if not isinstance(place[key], list | dict) or data.draw(st.integers(0, 3)) == 0:
                place[key] = data.draw(_VALUES)
                return
            place = place[key]

    path = tmp_path_factory.getbasetemp() / "smidgen-fuzz"
    path.write_bytes(with_document(change))
    read_or_refuse(path)


@pytest.mark.parametrize(
    ("version", "needle"),
    [
        ([2, 0], "format 2, but this version reads 1"),
        ([0, 9], "format 0"),
        ([1], "not a model document"),
        (["1", 0], "not a model document"),
        (["a\nb" * 9000, 0], "not a model document"),
        ([True, 0], "not a model document"),
        ({"a": 1, "b": 2}, "not a model document"),
        ("10", "not a model document"),
        (None, "not a model document"),
    ],
)
def test_an_unknown_major_version_is_refused(tmp_path: Path, version: object, needle: str) -> None:
    assert needle in refusal(tmp_path / "m", with_document(lambda document: document.update(format=version)))


def test_an_unknown_minor_version_and_its_fields_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "m"

    def newer(document: dict[str, Any]) -> None:
        document.update(format=[1, 99], novelty={"x": 1})
        document["network"]["novelty"] = 3

    path.write_bytes(with_document(newer))
    assert modelfile.read(path).provenance == {"seed": 3}


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '"x"', "{", "[" * 100_000, '{"format": [1, 0]}'])
def test_metadata_that_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    refusal(tmp_path / "m", with_document(lambda _: text))


@pytest.mark.parametrize("provenance", [None, [], "x", 3])
def test_provenance_of_a_wrong_kind_reads_as_none_at_all(tmp_path: Path, provenance: object) -> None:
    path = tmp_path / "m"
    path.write_bytes(with_document(lambda document: document.update(provenance=provenance)))
    assert modelfile.read(path).provenance == {}


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_foreign_safetensors_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    data = safetensors.numpy.save({"w": np.zeros(3, np.float32)}, metadata)
    assert "without a network" in refusal(tmp_path / "m", data)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8, np.complex64, bool])
def test_weights_of_another_type_are_refused(tmp_path: Path, kind: type) -> None:
    network = small()
    arrays = weights(network)
    first = next(iter(arrays))
    arrays[first] = arrays[first].astype(kind)
    assert f"{first} is" in refusal(tmp_path / "m", file_bytes(ModelFile(network, arrays)))


def test_tensors_that_do_not_belong_are_named_and_counted(tmp_path: Path) -> None:
    network = small()
    arrays = weights(network)
    first, second, *_ = arrays
    wrong = {name: array for name, array in arrays.items() if name not in (first, second)}
    message = refusal(tmp_path / "m", file_bytes(ModelFile(network, wrong)))
    assert message == f"{first} is missing, and 1 more"
    foreign = arrays | {"evil\n\x1b[31m" + "x" * 900: arrays[first]}
    assert refusal(tmp_path / "m", file_bytes(ModelFile(network, foreign))).startswith("evil ?[31mxxx")


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    refusal(tmp_path / "m.pth", pickle.dumps(Bomb(marker), protocol))
    assert not marker.exists()
    refusal(tmp_path / "m.pth", b"PK\x03\x04" + bytes(100))


def test_other_files_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    assert "not a file" in refusal(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refusal(tmp_path / "pipe")
    assert "not a model file" in refusal(tmp_path / "m", b"\xff\xd8\xff\xe0" * 10)
    if Path("/dev/zero").exists():
        assert "not a file" in refusal(Path("/dev/zero"))


def test_tensors_at_odd_places_are_read(tmp_path: Path) -> None:
    raw = content()
    header = int.from_bytes(raw[:8], "little")
    longer = (header + 1).to_bytes(8, "little") + raw[8 : 8 + header] + b" " + raw[8 + header :]
    (tmp_path / "even").write_bytes(raw)
    (tmp_path / "odd").write_bytes(longer)
    even, odd = (modelfile.read(tmp_path / name).tensors for name in ("even", "odd"))
    assert all(np.array_equal(odd[name], array) for name, array in even.items())
    assert all(array.flags.aligned for array in odd.values())


def test_a_file_that_is_shortened_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = content()
    monkeypatch.setattr(os, "fstat", lambda _: SimpleNamespace(st_size=len(raw) + 4))
    assert refusal(tmp_path / "m", raw) == "somebody shortened it while it was read; try again"


def test_a_large_foreign_file_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "film"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert "not a model file" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content())
    (tmp_path / "m").chmod(0)
    assert "cannot be read" in refusal(tmp_path / "m")
