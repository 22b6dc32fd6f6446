"""Foreign `.pth` files: read without running any code, renamed to our tensors, checked against the tree."""

from __future__ import annotations

import dataclasses
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smidgen import families, weights
from smidgen.graph import BatchNorm, Combinator, Network, Node, tensors
from smidgen.spec import ModelFileError

__all__ = ["adapt", "convert", "load_pth"]

# Where training scripts keep the state dict inside a checkpoint, in order of preference.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module")
# What DistributedDataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")
# Buffers that thop leaves in every module that it counted.
_COUNTERS = ("total_ops", "total_params")

# The parts of a block in efficientnet_pytorch and efficientnet_lite_pytorch, in order, with the name that
# each leaf has within its part in torchvision's naming. Parts that a block lacks take no number.
_BLOCK_PARTS = (
    {"_expand_conv": "0", "_bn0": "1"},
    {"_depthwise_conv": "0", "_bn1": "1"},
    {"_se_reduce": "fc1", "_se_expand": "fc2"},
    {"_project_conv": "0", "_bn2": "1"},
)


def load_pth(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a state dict saved by `torch.save`, out of its wrappers, on the CPU.

    A checkpoint may hold the state dict under a usual key, and its names may start with `module.`.
    Raises   ModelFileError when the file is missing, truncated or foreign, or holds code, which is never run.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns about, it then refuses
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelFileError(f"{path}: {_complaint(path, error)}") from error
    state = _unwrap(loaded)
    if not state:
        raise ModelFileError(
            f"{path}: holds no state dict but a {type(loaded).__name__}; save model.state_dict()"
        )
    return state


def adapt(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """Rename weights to the tensors of the network's tree, in its order, as float32.

    Knows the naming of torchvision (which is ours) and of efficientnet_pytorch and its Lite sister.
    Counters of BatchNorm that old files lack start at 0.
    Raises   ModelFileError naming the first tensor that is missing, unexpected or of another shape,
             and how many there are.
    """
    wanted = {tensor.name: tensor.shape for tensor in tensors(network.tree)}
    renamed = _renamed(state, wanted)
    for name in wanted:
        if name.endswith("num_batches_tracked"):
            renamed.setdefault(name, torch.tensor(0))
    _require_fit(renamed, wanted, network.name)
    return {name: _plain(renamed[name]) for name in wanted}


def convert(path: str | Path, name: str, **options: Any) -> tuple[Network, dict[str, Tensor]]:
    """Network and weights of a foreign file that holds the network `name`.

    A published file is recognised by its hash and brings its preprocessing, resolution and class names.
    Otherwise the numbers of classes and of input channels are read off the file where `options` leave
    them open.
    A file in the naming of efficientnet_pytorch gets TensorFlow's padding and BatchNorm, as it was trained.
    options  of `families.network`
    Raises   ModelFileError as `load_pth` and `adapt`; UnknownNameError.
    """
    network = families.network(name, **options)
    state = load_pth(path)
    published = None if options else weights.recognise(path, name)
    if published:
        network = weights.published_network(name, published.key)
    else:
        network = _network(name, _sizes(state, network) | options, ported=_is_ported(state))
    return network, adapt(state, network)


def _is_ported(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of efficientnet_pytorch, whose weights come from TensorFlow."""
    return "_conv_stem.weight" in state


def _network(name: str, options: dict[str, Any], *, ported: bool) -> Network:
    """Build the network; ported weights want TensorFlow's conventions (lukemelas/EfficientNet-PyTorch)."""
    if not ported or families.family_of(name).name != "efficientnet":
        return families.network(name, **options)
    network = families.network(name, **({"padding": "same"} | options))
    return dataclasses.replace(network, tree=_tensorflow_norms(network.tree))


def _tensorflow_norms(node: Node) -> Node:
    """Give every BatchNorm the constants of tensorflow/tpu."""
    if isinstance(node, BatchNorm):
        return dataclasses.replace(node, eps=1e-3, momentum=0.01)
    if isinstance(node, Combinator):
        children = tuple((name, _tensorflow_norms(child)) for name, child in node.children)
        return dataclasses.replace(node, children=children)
    return node


def _complaint(path: Path, error: Exception) -> str:
    """Say on one line what is wrong with a file that torch refused, without its advice to run it."""
    text = str(error)
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if "TorchScript" in text:
        return "is a TorchScript program, not a state dict; save model.state_dict() instead"
    if found := re.search(r"\bGLOBAL (\S+)", text):
        return f"holds code ({found[1]}), which is not run; save model.state_dict() instead"
    if "Unsupported" in text and _head(path) == pickle.PROTO:
        return "is a pickle of another program, which is not run; save model.state_dict() with torch"
    return "is no file of torch.save, or is truncated"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)


def _unwrap(loaded: object) -> dict[str, Tensor]:
    """Find the state dict inside a checkpoint; empty where there is none."""
    for _ in range(2):
        if isinstance(loaded, Mapping):
            inside = (loaded.get(key) for key in _WRAPPERS)
            loaded = next((value for value in inside if isinstance(value, Mapping)), loaded)
    entries = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {str(name): value for name, value in entries if isinstance(value, Tensor)}
    return {name: value for name, value in _bare(state).items() if name.rpartition(".")[2] not in _COUNTERS}


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of wrapping modules."""
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _renamed(state: Mapping[str, Tensor], ours: Iterable[str]) -> dict[str, Tensor]:
    """Put the state under our names; names without a rule stay."""
    modules = _module_names(state, list(ours)) if _is_ported(state) else {}
    split = {name: name.rpartition(".") for name in state}
    return {f"{modules.get(path, path)}{dot}{leaf}": state[name] for name, (path, dot, leaf) in split.items()}


def _module_names(state: Iterable[str], ours: list[str]) -> dict[str, str]:
    """Modules of efficientnet_pytorch -> ours. Its blocks count through, ours count by stage."""
    theirs = {name.rpartition(".")[0] for name in state}
    blocks = dict.fromkeys(
        found[0] for name in ours if (found := re.match(r"features\.\d+\.\d+\.block", name))
    )
    head = max((int(found[1]) for name in ours if (found := re.match(r"features\.(\d+)\.", name))), default=0)
    names = {"_conv_stem": "features.0.0", "_bn0": "features.0.1", "_fc": "classifier.1"}
    names |= {"_conv_head": f"features.{head}.0", "_bn1": f"features.{head}.1"}
    for number, block in enumerate(blocks):
        parts = [part for part in _BLOCK_PARTS if f"_blocks.{number}.{next(iter(part))}" in theirs]
        for index, part in enumerate(parts):
            names |= {f"_blocks.{number}.{old}": f"{block}.{index}.{new}" for old, new in part.items()}
    return names


def _sizes(state: Mapping[str, Tensor], network: Network) -> dict[str, int]:
    """Options that the first and the last weight of the file give away."""
    kernels = [tensor.name for tensor in tensors(network.tree) if len(tensor.shape) > 1]
    renamed = _renamed(state, [tensor.name for tensor in tensors(network.tree)])
    first, last = renamed.get(kernels[0]), renamed.get(kernels[-1])
    sizes = {}
    if last is not None and last.ndim > 1:
        sizes["num_classes"] = last.shape[0]
    if first is not None and first.ndim > 1:
        sizes["c_in"] = first.shape[1]
    return sizes


def _require_fit(state: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raise ModelFileError unless names and shapes are exactly the wanted ones."""
    both = [key for key in wanted if key in state]
    troubles = {
        "missing": [key for key in wanted if key not in state],
        "unexpected": [key for key in state if key not in wanted],
        "of another shape": [
            f"{key}: {tuple(state[key].shape)}, not {wanted[key]}"
            for key in both
            if tuple(state[key].shape) != wanted[key]
        ],
    }
    found = [f"{len(keys)} {trouble} (first {keys[0]})" for trouble, keys in troubles.items() if keys]
    if found:
        raise ModelFileError(f"the weights do not fit {name}: of {len(wanted)} tensors {', '.join(found)}")


def _plain(tensor: Tensor) -> Tensor:
    """Contiguous, outside any graph, and in float32 unless it counts something."""
    tensor = tensor.detach().contiguous()
    return tensor.float() if tensor.is_floating_point() else tensor
