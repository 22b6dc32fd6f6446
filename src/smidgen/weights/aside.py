"""Published weights read by torch in a process of its own: whoever asks for them never loads torch."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from smidgen import modelfile
from smidgen.fresh import run_fresh
from smidgen.spec import DependencyError, WeightsError
from smidgen.weights.catalogue import Published

__all__ = ["require_torch", "tensors"]

_READER = "torch"  # looked for, never imported here


def require_torch(published: Published) -> None:
    """Raise DependencyError, with what to install, unless torch is there."""
    if importlib.util.find_spec(_READER) is None:
        raise DependencyError(
            f"reading the published weights of {published.network}, once, needs torch: "
            "pip install 'smidgen[train]'"
        )


def tensors(published: Published) -> Mapping[str, NDArray[Any]]:
    """Tensors of the publisher's file, which is on this machine, under our names.

    Raises   WeightsError with the last line that the process said.
    """
    with tempfile.TemporaryDirectory(prefix="smidgen-weights-") as folder:
        path = Path(folder, "model.safetensors")
        try:
            done = run_fresh("-m", "smidgen.modules", published.network, published.key, str(path))
        except OSError as error:
            told = f"the weights of {published.network} cannot be read: no Python to do it"
            raise WeightsError(f"{told} ({error.strerror or error})") from None
        if done.returncode != 0:
            raise WeightsError(_why(done, published.network))
        return modelfile.read(path).tensors


def _why(done: subprocess.CompletedProcess[str], name: str) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process that reads the weights of {name} ended ({done.returncode})"
