"""The model file: a safetensors file whose single metadata entry is one JSON document.

Tensors have their state-dict names; the document holds format version, network, numerics and
provenance. A picture and a model file suffice to predict. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.graph import Network, from_json, tensors, to_json
from smidgen.spec import ModelFileError, ShapeError, TreeError

__all__ = ["ModelFile", "check_tensors", "read", "weight_bytes", "write"]

METADATA_KEY = "smidgen"
FORMAT = (1, 0)  # an unknown major version is refused, an unknown minor one read as far as it goes

Array = npt.NDArray[Any]

# Types of safetensors that numpy has, too.
_TYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "C64": "c8", "BOOL": "?",
    "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Content of a model file: weights by state-dict name, and where they come from."""

    network: Network
    tensors: Mapping[str, Array]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write(path: str | Path, model: ModelFile) -> int:
    """Write a model file in one step; returns its size in bytes.

    Raises   ModelFileError where the tensors are not those of the network, or the disk refuses.
    """
    import safetensors.numpy  # for writing only

    from smidgen import atomic

    path = Path(path)
    check_tensors(model.network, {name: array.shape for name, array in model.tensors.items()}, str(path))
    _check_types(model.network, model.tensors, str(path))
    metadata = {METADATA_KEY: _document(model.network, model.provenance)}
    arrays = {name: np.asarray(array, order="C") for name, array in model.tensors.items()}
    try:
        atomic.write_bytes(path, safetensors.numpy.save(arrays, metadata))
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was changed"
        ) from error
    return path.stat().st_size


def read(path: str | Path) -> ModelFile:
    """Read a model file.

    Raises   ModelFileError, in one line, on anything but a whole model file of a version known here.
    """
    path = Path(path)
    content = _content(path)
    try:
        header, data = _header(content)
        metadata = header.pop("__metadata__", None)
        arrays = _arrays(header, data)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ModelFileError(f"{path}: truncated or not a model file ({_one_line(error)})") from None
    document = _document_in(metadata, path)
    try:
        network = from_json(document.get("network"))
    except (TreeError, ShapeError) as error:
        raise ModelFileError(f"{path}: its network is not valid ({_one_line(error)})") from None
    check_tensors(network, {name: array.shape for name, array in arrays.items()}, str(path))
    _check_types(network, arrays, str(path))
    provenance = document.get("provenance", {})
    return ModelFile(network, arrays, provenance if isinstance(provenance, dict) else {})


def check_tensors(network: Network, found: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Compare names and shapes with those that the network needs.

    Raises   ModelFileError naming the first that differs and how many there are.
    """
    needed = {tensor.name: tensor.shape for tensor in tensors(network.tree)}
    missing = [f"{name} is missing" for name in needed if name not in found]
    unknown = [f"{name} has no place in {network.name}" for name in found if name not in needed]
    wrong = [
        f"{name} has shape {list(found[name])}, not {list(shape)}"
        for name, shape in needed.items()
        if name in found and tuple(found[name]) != shape
    ]
    _raise_first(missing + wrong + unknown, source)


def _check_types(network: Network, arrays: Mapping[str, Array], source: str) -> None:
    """Weights are float32, counters int64."""
    wrong = [
        f"{tensor.name} is {arrays[tensor.name].dtype}, not {_dtype(tensor.shape)}"
        for tensor in tensors(network.tree)
        if arrays[tensor.name].dtype != _dtype(tensor.shape)
    ]
    _raise_first(wrong, source)


def _dtype(shape: tuple[int, ...]) -> str:
    return "float32" if shape else "int64"


def _raise_first(problems: list[str], source: str) -> None:
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ModelFileError(f"{source}: {_one_line(problems[0])}{more}")


def weight_bytes(network: Network, provenance: Mapping[str, Any] | None = None) -> int:
    """Exact size of the model file of `network` in fp32, without writing it."""
    entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: _document(network, provenance or {})}}
    end = 0
    # safetensors orders by falling alignment, then by name; counters are int64, weights float32.
    for tensor in sorted(tensors(network.tree), key=lambda tensor: (tensor.shape != (), tensor.name)):
        start, end = end, end + (8 if tensor.shape == () else 4 * math.prod(tensor.shape))
        dtype = "I64" if tensor.shape == () else "F32"
        entries[tensor.name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": (start, end)}
    header = len(json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode())
    return 8 + -(-header // 8) * 8 + end


def _document(network: Network, provenance: Mapping[str, Any]) -> str:
    document = {
        "format": list(FORMAT),
        "network": to_json(network),
        "numerics": {"weights": "float32"},
        "provenance": dict(provenance),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # File names in no known encoding hold half characters, which JSON can only escape.
    return text.encode(errors="backslashreplace").decode()


def _content(path: Path) -> npt.NDArray[np.uint8]:
    """The whole file; one that does not begin like safetensors is refused before it is read.

    It is copied once, from the system's memory to where the weights stay; not left there, since somebody may
    write over the file.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise ModelFileError(f"{path}: not a file; a model file is needed")
        with path.open("rb") as file:
            _check_head(file.read(9), path)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return np.array(memoryview(content))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None


def _check_head(head: bytes, path: Path) -> None:
    """Refuse what is not eight bytes of length and a JSON object; a length may begin like a pickle."""
    if head[8:] == b"{":
        return
    if head.startswith((b"PK\x03\x04", b"\x80")):
        advice = f"`smidgen convert {path.name} --as NAME` reads its weights"
        raise ModelFileError(f"{path}: a PyTorch file, which may hold code; {advice}")
    if len(head) < 9:
        raise ModelFileError(f"{path}: truncated or not a model file (it has {len(head)} bytes)")
    raise ModelFileError(f"{path}: not a model file; `smidgen fit` and `smidgen convert` write them")


def _header(content: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    """What safetensors says of its tensors, and their bytes. Raises ValueError, TypeError, RecursionError."""
    size = int.from_bytes(content[:8].tobytes(), "little")
    if size > len(content) - 8:
        raise ValueError("it ends within its header")
    header = json.loads(content[8 : 8 + size].tobytes().decode())
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    return header, content[8 + size :]


def _arrays(header: Mapping[str, Any], data: npt.NDArray[np.uint8]) -> dict[str, Array]:
    """The tensors, where they lie. They must fill the data, without gaps and in no two places at once.

    Raises   ValueError, TypeError, LookupError.
    """
    arrays: dict[str, Array] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, (first, last), shape = end, entry["data_offsets"], entry["shape"]
        if entry["dtype"] not in _TYPES:
            raise ValueError(f"{name} is of a type that is not known here, {entry['dtype']!r:.40}")
        kind = np.dtype(_TYPES[entry["dtype"]]).newbyteorder("<")
        if any(type(number) is not int or number < 0 for number in (first, last, *shape)):
            raise ValueError(f"{name} has no shape or place")
        end = begin + math.prod(shape) * kind.itemsize
        if (first, last) != (begin, end) or end > len(data):
            raise ValueError(f"{name} does not lie where it should")
        array = data[begin:end].view(kind).reshape(shape)
        arrays[name] = array if array.flags.aligned else array.copy()
    if end != len(data):
        raise ValueError(f"{len(data) - end:,} bytes belong to no tensor")
    return arrays


def _document_in(metadata: Any, path: Path) -> dict[str, Any]:
    """The document among the metadata of a safetensors file."""
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise ModelFileError(f"{path}: a safetensors file without a network, so not a model file")
    try:
        document = json.loads(metadata[METADATA_KEY])
        major, minor = document["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelFileError(f"{path}: its metadata is not a model document") from None
    if type(major) is not int or type(minor) is not int:
        raise ModelFileError(f"{path}: its metadata is not a model document")
    if major != FORMAT[0]:
        raise ModelFileError(
            f"{path}: format {major}, but this version reads {FORMAT[0]}; a newer smidgen may read it"
        )
    return dict(document)


def _one_line(what: object) -> str:
    """Text that may stem from the file, without whatever would break a line or steer a terminal."""
    text = " ".join(str(what).split())[:200]
    return "".join(letter if letter.isprintable() else "?" for letter in text)
