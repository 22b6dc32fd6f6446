"""Arrays out of a pickle whose code is never run.

A pickle names what it wants made or called. Three names of numpy's are met by stand-ins of ours, which only
keep what they are told; any other name is refused.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.spec import WeightsError

__all__ = ["read_arrays"]


class _Type:
    """Stand-in for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stand-in for numpy.ndarray, empty until the pickle tells its state."""

    array: NDArray[np.float32]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if (kind.order, kind.code, by_columns) != ("<", "f4", False):
            raise pickle.UnpicklingError("float32 by rows is needed")
        self.array = np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)


def _empty(*_: object) -> _Array:
    return _Array()


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"holds code ({module}.{name}), which is not run") from None


def read_arrays(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Read a pickled dict of lists of float32 arrays, as numpy writes them by protocols 3 and 4.

    Raises   WeightsError when the file is missing, truncated, something else, or holds code.
    """
    try:
        with path.open("rb") as file:
            loaded = _Reader(file).load()
        return {name: [made.array for made in arrays] for name, arrays in loaded.items()}
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise WeightsError(f"{path}: no pickle of float32 arrays ({error})") from None
