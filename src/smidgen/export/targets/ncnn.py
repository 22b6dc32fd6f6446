"""ncnn: the text of its layers, their weights, and beside them what its user must know, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smidgen.export import sidecar
from smidgen.export.targets import Content, Options, Tensors
from smidgen.export.usage import usage as described
from smidgen.graph import Network

__all__ = ["OPTIONS", "PACKAGES", "SUFFIXES", "SUMMARY", "content", "is_ours", "usage"]

SUMMARY = "ncnn, for phones and boards; .param and .bin, and a .json that says how to use them."
SUFFIXES, OPTIONS = (".param", ".bin", sidecar.SUFFIX), ("shift",)
PACKAGES: tuple[str, ...] = ()


def content(network: Network, tensors: Tensors, options: Options) -> Content:
    """The two files and the third. Raises SmidgenError where ncnn has no such layer."""
    from smidgen.export.ncnn import to_ncnn

    model = to_ncnn(network, tensors, shift=options.shift or "slices")
    return sidecar.added({".param": model.param.encode(), ".bin": model.bin}, usage(network, options))


def usage(network: Network, options: Options) -> dict[str, Any]:  # noqa: ARG001 (as every target)
    """For one picture."""
    return described(network)


def is_ours(path: Path) -> bool:
    """Whether the .json beside it knows it."""
    return sidecar.knows(path, SUFFIXES)
