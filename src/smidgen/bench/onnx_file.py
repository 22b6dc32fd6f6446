"""What the rivals that read ONNX share."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FORMS", "artefact"]

# By whether the network has shifts.
FORMS = {False: ("",), True: ("slices", "depthwise")}


def artefact(model: Path, setting: str, batch: int, folder: Path) -> Path:
    """An ONNX file for batches of this size, with the form of the shifts that the setting names."""
    from smidgen import modelfile
    from smidgen.export.onnx import ShiftForm, to_onnx

    shift: ShiftForm = "depthwise" if "depthwise" in setting else "slices"
    path = folder / f"{shift}-{batch}.onnx"
    if not path.exists():
        file = modelfile.read(model)
        path.write_bytes(to_onnx(file.network, file.tensors, shift=shift, batch=batch).SerializeToString())
    return path
