from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smidgen.train import checkpoint
from smidgen.train.checkpoint import Checkpoint, CheckpointError


def made(step: int, size: int = 10) -> Checkpoint:
    tensors = {"model": {"w": torch.full((size,), float(step))}, "optimiser": {"0.step": torch.tensor(step)}}
    return Checkpoint(step, {"rows": [step]}, tensors)


def same(a: Checkpoint | None, step: int) -> bool:
    assert a is not None
    return a.step == step and bool((a.tensors["model"]["w"] == step).all()) and a.position["rows"] == [step]


def test_the_newest_comes_back_and_one_before_it_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert checkpoint.latest(folder) is None
    for step in (1, 5, 9, 100_000):
        checkpoint.write(folder, made(step))
        assert same(checkpoint.latest(folder), step)
    assert sorted(int(path.name) for path in folder.iterdir()) == [9, 100_000]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, made(3))
    checkpoint.write(tmp_path, made(3))
    assert same(checkpoint.latest(tmp_path), 3)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "position.json", "manifest.json", "optimiser.safetensors"]
)
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_one_gives_way_to_the_one_before(name: str, damage: str, tmp_path: Path) -> None:
    checkpoint.write(tmp_path, made(1))
    file = checkpoint.write(tmp_path, made(2)) / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    assert same(checkpoint.latest(tmp_path), 1)


def test_none_whole_is_said(tmp_path: Path) -> None:
    (checkpoint.write(tmp_path, made(1)) / "manifest.json").write_text("[]")
    with pytest.raises(CheckpointError, match="none of its 1 checkpoints is whole"):
        checkpoint.latest(tmp_path)


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "model.safetensors").write_bytes(b"half")
    assert checkpoint.latest(tmp_path) is None
    checkpoint.write(tmp_path, made(1))
    assert [path.name for path in tmp_path.iterdir()] == [f"{1:012d}"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_checkpoint import made
from smidgen.train import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoint.write(Path(sys.argv[1]), made(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    checkpoint.write(Path(sys.argv[1]), made(2, 1000))
except checkpoint.CheckpointError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_one_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert "step 2 cannot be written (File too large); make room" in done.stdout
    assert same(checkpoint.latest(tmp_path), 1)
    assert [path.name for path in tmp_path.iterdir()] == [f"{1:012d}"]


@pytest.mark.parametrize(("earlier", "told"), [(1, "from the one before it"), (0, "at its beginning")])
def test_a_full_disk_advises_what_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: int, told: str
) -> None:
    for step in range(earlier):
        checkpoint.write(tmp_path, made(step))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smidgen.train.checkpoint._write_flushed", full)
    with pytest.raises(CheckpointError, match=f"No space left on device.*then resume {told}"):
        checkpoint.write(tmp_path, made(9))
    assert (checkpoint.latest(tmp_path) is None) == (not earlier)
