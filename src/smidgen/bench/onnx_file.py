"""What the rivals that read ONNX share."""

from __future__ import annotations

from pathlib import Path

from smidgen.bench.shift_forms import form

__all__ = ["artefact"]


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
