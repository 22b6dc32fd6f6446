"""ONNX: one file, straight from the tree; it carries what its user must know as metadata."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from smidgen.export.targets import Content, Options, Tensors
from smidgen.export.usage import text
from smidgen.export.usage import usage as described
from smidgen.graph import Network
from smidgen.spec import SmidgenError

__all__ = ["OPTIONS", "PACKAGES", "SUFFIXES", "SUMMARY", "content", "is_ours", "usage"]

SUMMARY = "ONNX, for ONNX Runtime, OpenVINO and many others; one file."
SUFFIXES, OPTIONS, PACKAGES = (".onnx",), ("shift", "batch"), ("onnx",)

MOST_BYTES = 2**31 - 2**24  # of weights: a message of Protocol Buffers has less than 2 GiB, graph and all

# The last entry of the metadata: `sha256` and 64 digits, of all before it. In Protocol Buffers an entry of a
# list may stand at the end of a message, so that the file is known as ours without a parser.
_SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"


def content(network: Network, tensors: Tensors, options: Options) -> Content:
    """The model. Raises SmidgenError where its weights are more than the format holds."""
    needed = sum(array.nbytes for array in tensors.values())
    if needed > MOST_BYTES:
        size = f"{needed / 2**30:.1f} GiB of weights"
        raise SmidgenError(
            f"{network.name}: {size}, and an ONNX file holds less than 2 GiB; choose another target"
        )
    from smidgen.export.onnx import to_onnx

    # Protocol Buffers have no half characters, which a foreign name may have.
    network = replace(network, name=network.name.encode(errors="backslashreplace").decode())
    model = to_onnx(network, tensors, shift=options.shift or "slices", batch=options.batch)
    for key, value in usage(network, options).items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else text(value))
    return {".onnx": _sealed(model.SerializeToString(deterministic=True))}


def usage(network: Network, options: Options) -> dict[str, Any]:
    """For any number of pictures, unless one was chosen."""
    return described(network, ["N" if options.batch is None else options.batch])


def is_ours(path: Path) -> bool:
    """Whether it ends in the hash of what stands before."""
    found = path.read_bytes()
    return _sealed(found[: -len(_SEAL) - 64]) == found


def _sealed(message: bytes) -> bytes:
    return message + _SEAL + hashlib.sha256(message).hexdigest().encode()
