"""Published weights into a model file: NAME KEY FILE. `smidgen.weights` runs it where torch is not wanted."""

from __future__ import annotations

import sys

from smidgen import modelfile, weights
from smidgen.modelfile import ModelFile
from smidgen.modules.published import published_tensors
from smidgen.spec import SmidgenError

__all__: list[str] = []


def _write(name: str, key: str, path: str) -> None:
    row = weights.find(name, key)
    modelfile.write(path, ModelFile(weights.published_network(name, key), published_tensors(row), {}))


if __name__ == "__main__":
    try:
        _write(*sys.argv[1:])
    except SmidgenError as error:
        sys.exit(str(error))
