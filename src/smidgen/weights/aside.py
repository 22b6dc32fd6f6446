"""Published weights read by torch in a process of its own: whoever asks for them never loads torch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from smidgen import modelfile
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

    Raises   WeightsError with what the process said.
    """
    with tempfile.TemporaryDirectory(prefix="smidgen-weights-") as folder:
        path = Path(folder, "model.safetensors")
        # Not from the folder that we happen to be in (-P), but from where we would import ourselves.
        command = [sys.executable, "-P", "-m", "smidgen.modules", published.network, published.key, str(path)]
        places = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise WeightsError(said[-1])
        return modelfile.read(path).tensors
