"""The model file: a safetensors file whose single metadata entry is one JSON document.

Tensors have their state-dict names; the document holds format version, network, numerics and
provenance. A picture and a model file suffice to predict. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors

from smidgen.graph import Network, from_json, tensors, to_json
from smidgen.graph.layers import Tensor
from smidgen.spec import ModelFileError, ShapeError, TreeError

__all__ = ["ModelFile", "Weights", "check_tensors", "read", "weight_bytes", "write"]

METADATA_KEY = "smidgen"
FORMAT = (1, 0)  # an unknown major version is refused, an unknown minor one read as far as it goes

# What safetensors' types are to numpy; those that it does not know cannot be read.
_DTYPES = {"BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "C64": np.dtype("<c8")} | {
    f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}") for kind in "FIU" for size in (2, 4, 8)
}

Array = npt.NDArray[Any]
Weights = Literal["float32", "int8"]


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
    metadata, arrays = _content(path)
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


def weight_bytes(
    network: Network, provenance: Mapping[str, Any] | None = None, *, weights: Weights = "float32"
) -> int:
    """Exact size of the model file of `network`, without writing it.

    weights  what those of convolutions and linear layers are stored as; int8 has a float32 scale for each
             output channel beside them, and all other tensors stay as they are
    """
    entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: _document(network, provenance or {}, weights)}}
    end = 0
    # safetensors orders by falling alignment, then by name.
    stored = (entry for tensor in tensors(network.tree) for entry in _stored(tensor, weights))
    for name, dtype, shape in sorted(stored, key=lambda entry: (-_DTYPES[entry[1]].itemsize, entry[0])):
        start, end = end, end + _DTYPES[dtype].itemsize * math.prod(shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": (start, end)}
    header = len(json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode())
    return 8 + -(-header // 8) * 8 + end


def _stored(tensor: Tensor, weights: Weights) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of what the file holds for a tensor: counters are single, weights have axes."""
    if weights == "int8" and len(tensor.shape) > 1:
        yield tensor.name, "I8", tensor.shape
        yield f"{tensor.name}_scale", "F32", tensor.shape[:1]
    else:
        yield tensor.name, "F32" if tensor.shape else "I64", tensor.shape


def _document(network: Network, provenance: Mapping[str, Any], weights: Weights = "float32") -> str:
    document = {
        "format": list(FORMAT),
        "network": to_json(network),
        "numerics": {"weights": weights},
        "provenance": dict(provenance),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # File names in no known encoding hold half characters, which JSON can only escape.
    return text.encode(errors="backslashreplace").decode()


def _content(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Metadata and tensors; what does not begin like safetensors is refused before the rest is read."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise ModelFileError(f"{path}: not a file; a model file is needed")
        with path.open("rb") as head:
            _check_head(head.read(9), path)
        with safetensors.safe_open(path, framework="numpy"):  # it finds what is not whole
            block = _block(path)
        return _header_and_tensors(block)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"{path}: truncated or not a model file ({_one_line(error)})") from None
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(
            f"{path}: a tensor of a type that is not known here ({_one_line(error)})"
        ) from None


def _block(path: Path) -> Array:
    """All bytes of a file, in one piece of memory.

    numpy asks the system for large pages where it is asked for much; the first touch of small ones, tensor by
    tensor, takes longer than reading.
    """
    with path.open("rb") as file:
        block = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        if file.readinto(block.data) != len(block):
            raise ModelFileError(f"{path}: somebody shortened it while it was read; try again")
    return block


def _header_and_tensors(block: Array) -> tuple[dict[str, str], dict[str, Array]]:
    """Metadata and tensors of a file that safetensors has found whole: views, or copies where they lie at
    places that are no multiple of their size.
    """
    start = 8 + int.from_bytes(block[:8].tobytes(), "little")
    header = json.loads(block[8:start].tobytes())
    metadata = header.pop("__metadata__", None) or {}
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        flat = block[start + first : start + last].view(_DTYPES[entry["dtype"]])
        tensors[name] = np.require(flat.reshape(entry["shape"]), requirements="A")
    return metadata, tensors


def _check_head(head: bytes, path: Path) -> None:
    """Refuse what is not eight bytes of length and a JSON object; a length may begin like a pickle."""
    if head[8:] == b"{":
        return
    if head.startswith((b"PK\x03\x04", b"\x80")):
        advice = f"`smidgen convert {shlex.quote(str(path))} --as NAME` reads its weights"
        raise ModelFileError(f"{path}: a PyTorch file, which may hold code; {advice}")
    if len(head) < 9:
        raise ModelFileError(f"{path}: truncated or not a model file (it has {len(head)} bytes)")
    raise ModelFileError(f"{path}: not a model file; `smidgen fit` and `smidgen convert` write them")


def _document_in(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The document among the metadata of a safetensors file."""
    if METADATA_KEY not in metadata:
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
