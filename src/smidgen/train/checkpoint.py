"""Checkpoints: the whole state of a training as a folder that is there completely or not at all.

    checkpoints/000000000420/       the number of steps done
        model.safetensors           weights while they move
        average.safetensors         their moving average, where the recipe keeps one
        optimiser.safetensors       moments of the optimiser, and the sums of the epoch so far
        position.json               where in the training this is, and the rows of finished epochs
        manifest.json               SHA-256 of each of the files above

All randomness is a function of (seed, epoch, index), so the position is the whole state of the generators.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from smidgen.train.errors import TrainingError

__all__ = ["Checkpoint", "CheckpointError", "latest", "remove", "write"]

KEPT = 2  # the newest, and the one before it
_MANIFEST = "manifest.json"
_POSITION = "position.json"
_SUFFIX = ".safetensors"
_UNFINISHED = ".unfinished-"


class CheckpointError(TrainingError):
    """A checkpoint that cannot be written, or of which no whole one is left."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a training.

    step      optimiser steps done
    position  numbers and rows, ready for JSON
    tensors   by file (model, average, optimiser), then by name
    """

    step: int
    position: Mapping[str, Any]
    tensors: Mapping[str, Mapping[str, Tensor]]


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Add a checkpoint to `folder`; older ones than the one before it go.

    Whatever kills the process, the folder holds only whole checkpoints and leftovers that the next write
    clears.
    Raises   CheckpointError where the disk refuses; the checkpoints that were there stay.
    """
    target, before = folder / f"{checkpoint.step:012d}", _numbered(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        _fill(folder, target, checkpoint)
    except OSError as error:
        begins = "from the one before it" if before else "at its beginning, for there is none before it"
        raise CheckpointError(
            f"{folder}: the checkpoint of step {checkpoint.step:,} cannot be written "
            f"({error.strerror or error}); make room, then resume {begins}"
        ) from error
    places = _numbered(folder)
    newest = places.index(target)
    for old in (*places[: max(0, newest + 1 - KEPT)], *places[newest + 1 :]):  # later ones were not whole
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`; None where there has been none yet.

    Raises   CheckpointError where there are some, and none is whole.
    """
    places = _numbered(folder)
    for place in reversed(places):
        found = _read(place)
        if found is not None:
            return found
    if places:
        raise CheckpointError(f"{folder}: none of its {len(places)} checkpoints is whole; train again")
    return None


def remove(folder: Path) -> None:
    """Remove the checkpoints of a training that is over."""
    shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, target: Path, checkpoint: Checkpoint) -> None:
    """Write every file and flush it, then give the folder its name."""
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        contents = {
            name + _SUFFIX: safetensors.torch.save(
                {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            )
            for name, tensors in checkpoint.tensors.items()
        }
        contents[_POSITION] = json.dumps({"step": checkpoint.step, **checkpoint.position}).encode()
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        contents[_MANIFEST] = json.dumps(hashes, indent=1).encode()
        for name, content in contents.items():
            _write_flushed(unfinished / name, content)
        _flush(unfinished)
        if target.exists():  # the same step, once more after a resume: equal in every bit
            shutil.rmtree(target)
        unfinished.rename(target)
        _flush(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    with contextlib.suppress(PermissionError):  # not every file system flushes folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(place: Path) -> Checkpoint | None:
    """A checkpoint whose every file is what its manifest says; None for any other."""
    try:
        hashes = json.loads((place / _MANIFEST).read_bytes())
        contents = {name: (place / name).read_bytes() for name in hashes}
        if any(hashlib.sha256(contents[name]).hexdigest() != digest for name, digest in hashes.items()):
            return None
        position = json.loads(contents.pop(_POSITION))
        tensors = {
            name.removesuffix(_SUFFIX): safetensors.torch.load(content) for name, content in contents.items()
        }
        return Checkpoint(position["step"], position, tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError):
        return None


def _numbered(folder: Path) -> list[Path]:
    """Checkpoints in the order of their steps."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror or error})") from None


def _clear(folder: Path) -> None:
    """Remove what a killed process left unfinished."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
