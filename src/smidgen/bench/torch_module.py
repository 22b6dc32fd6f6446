"""What the rivals on torch share: the module in plain torch, without Smidgen's own kernels for the shift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen import modelfile
from smidgen.bench.rivals import Call
from smidgen.export.depthwise import has_shifts, without_shifts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["FORMS", "artefact", "loaded"]

# By whether the network has shifts.
FORMS = {False: ("",), True: (" slices", " depthwise")}


def artefact(model: Path, setting: str, batch: int, folder: Path) -> Path:  # noqa: ARG001 (as every rival)
    """The model file, or one with depthwise convolutions for shifts."""
    if "depthwise" not in setting:
        return model
    path = folder / "depthwise.safetensors"
    file = modelfile.read(model)
    modelfile.write(path, modelfile.ModelFile(*without_shifts(file.network, file.tensors)))
    return path


def loaded(artefact: Path, threads: int, setting: str, then: Callable[[nn.Module], Any]) -> Call:
    """A call of what `then` makes of the module."""
    import torch

    from smidgen.modules import load_file

    torch.set_num_threads(threads)
    layout = torch.channels_last if "nhwc" in setting else torch.contiguous_format
    network, module, _ = load_file(artefact)
    if has_shifts(network):
        _slice(module)
    ready = then(module.to(memory_format=layout))  # type: ignore[call-overload]

    def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer: Tensor = ready(torch.from_numpy(x).contiguous(memory_format=layout))
        numbers: NDArray[np.float32] = answer.numpy()
        return numbers

    return call


def _slice(module: nn.Module) -> None:
    """Shift by padding, slices and a concatenation."""
    import torch
    from torch.nn import functional

    from smidgen.modules import Shift

    class Slices(torch.nn.Module):
        def __init__(self, runs: tuple[tuple[int, int, int], ...]) -> None:
            super().__init__()
            self.runs, self.reach = runs, max(abs(offset) for run in runs for offset in run[1:])

        def forward(self, x: Tensor) -> Tensor:
            height, width = x.shape[2:]
            padded, parts, first = functional.pad(x, (self.reach,) * 4), [], 0
            for count, dy, dx in self.runs:
                top, left = self.reach + dy, self.reach + dx
                rows, columns = slice(top, top + height), slice(left, left + width)
                parts.append(padded[:, first : first + count, rows, columns])
                first += count
            return torch.cat(parts, 1)

    for part in list(module.modules()):
        for name, child in part.named_children():
            if isinstance(child, Shift):
                setattr(part, name, Slices(child.runs))
