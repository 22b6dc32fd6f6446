"""Arrays out of pickles: equal to numpy's own reading, and no code of theirs is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.spec import WeightsError
from smidgen.weights.pickled import read_arrays

ARRAYS = {
    "conv": [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([0.5, -1], np.float32)],
    "empty": [],
}


class Command:
    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.text,)


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_those_that_were_pickled(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(ARRAYS, protocol))
    read = read_arrays(path)
    assert read.keys() == ARRAYS.keys()
    for name, arrays in ARRAYS.items():
        assert len(read[name]) == len(arrays)
        for mine, other in zip(read[name], arrays, strict=True):
            np.testing.assert_array_equal(mine, other, strict=True)
            assert mine.flags.writeable


def test_numpy_1_names_its_function_otherwise_and_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    new = pickle.dumps(ARRAYS, 3)
    path.write_bytes(new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(read_arrays(path)["conv"][0], ARRAYS["conv"][0])


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pkl", tmp_path / "was_run"
    path.write_bytes(pickle.dumps({"conv": [Command(f"touch {mark}")]}, 3))
    with pytest.raises(WeightsError, match=r"holds code \(posix.system\), which is not run"):
        read_arrays(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps(ARRAYS, 3)[:-9],
        pickle.dumps([1, 2], 3),
        pickle.dumps({"conv": [1]}, 3),
        pickle.dumps({"conv": [np.ones(2)]}, 3),
        pickle.dumps({"conv": [np.asfortranarray(np.ones((2, 3), np.float32))]}, 3),
    ],
    ids=["empty", "text", "truncated", "list", "number", "float64", "by columns"],
)
def test_anything_else_is_one_line_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pkl: no pickle of float32 arrays \(.*\)$"):
        read_arrays(path)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read_arrays(tmp_path / "weights.pkl")
