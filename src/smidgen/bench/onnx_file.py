"""What the rivals share that read a file made from the tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smidgen.export.depthwise import ShiftForm

__all__ = ["FORMS", "artefact", "form"]

# By whether the network has shifts.
FORMS = {False: ("",), True: ("slices", "depthwise")}


def form(setting: str) -> ShiftForm:
    """The form of the shifts that a setting names."""
    return "depthwise" if "depthwise" in setting else "slices"


def artefact(model: Path, setting: str, batch: int, folder: Path) -> Path:
    """An ONNX file for batches of this size, with the form of the shifts that the setting names."""
    from smidgen import modelfile
    from smidgen.export.onnx import to_onnx

    shift = form(setting)
    path = folder / f"{shift}-{batch}.onnx"
    if not path.exists():
        file = modelfile.read(model)
        path.write_bytes(to_onnx(file.network, file.tensors, shift=shift, batch=batch).SerializeToString())
    return path
