"""NAME or FILE: one decision, the same line where it is neither, and the engine by a name without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smidgen import Engine, families, modelfile, weights
from smidgen.modelfile import ModelFile
from smidgen.modules.published import published_tensors
from smidgen.program.drawn import draw_weights
from smidgen.spec import ModelFileError, SmidgenError, UnknownNameError, WeightsError

NAME = "efficientnet_lite0"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a model of 3 classes, called like a network of 10."""
    network = families.network("resnet20", num_classes=3, resolution=8)
    modelfile.write(tmp_path / "resnet20", ModelFile(network, draw_weights(network)))
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_called_like_a_network_is_written_as_a_path(here: Path) -> None:
    assert not weights.is_path("resnet20")
    assert weights.open_network("resnet20").num_classes == 10
    for path in ("./resnet20", str(here / "resnet20"), Path("resnet20")):
        assert weights.is_path(path)
        assert weights.open_network(path).num_classes == 3
        assert weights.open_model(path).network.num_classes == 3
        assert Engine(path).network.num_classes == 3


def test_what_looks_like_a_path_is_one_whether_or_not_it_is_there(here: Path) -> None:
    shutil.copy("resnet20", "mine")
    assert weights.open_network("mine").num_classes == 3
    for missing in ("mine.safetensors", "./mein", "a/b", "."):
        assert weights.is_path(missing)
        for opened in (weights.open_network, weights.open_model, weights.require_model, Engine):
            with pytest.raises(ModelFileError):
                opened(missing)


@pytest.mark.parametrize("target", ["efficientnt_lite0", "resnet20.pth", ""])
def test_what_is_neither_is_told_in_the_same_line_everywhere(here: Path, target: str) -> None:
    said = set()
    for opened in (weights.open_network, weights.open_model, weights.require_model, Engine):
        with pytest.raises(UnknownNameError) as caught:
            opened(target)
        said.add(str(caught.value))
    (line,) = said
    assert line.startswith(f"no file and no network '{target}'; ")
    assert ("did you mean" in line) == bool(target)


def test_a_name_without_published_weights_is_a_network_but_no_model() -> None:
    assert weights.open_network("shiftnet_a", num_classes=5).num_classes == 5
    for opened in (weights.open_model, weights.require_model, Engine):
        with pytest.raises(WeightsError, match="shiftnet_a has no published weights"):
            opened("shiftnet_a")


def test_options_go_with_a_name_only(here: Path) -> None:
    with pytest.raises(SmidgenError, match=r"^num_classes: a model file's network is what it is"):
        weights.open_network("./resnet20", num_classes=5, resolution=None)


# ── the engine by a name ─────────────────────────────────────────────────────────────────────────────

BY_NAME = f"""
import sys
import numpy as np
import smidgen
x = np.linspace(-1, 1, 3 * 224 * 224, dtype=np.float32).reshape(1, 3, 224, 224)
y = smidgen.Engine({NAME!r})(x)
assert "torch" not in sys.modules or sys.modules["torch"] is None
np.save(sys.argv[1], y)
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=os.environ
    )


def test_an_engine_by_a_name_never_loads_torch_and_needs_it_once(here: Path) -> None:
    without = "import sys; sys.modules['torch'] = None" + BY_NAME
    refused = python(without, "y.npy")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"smidgen.spec.DependencyError: reading the published weights of {NAME}, once, needs torch: "
        "pip install 'smidgen[train]'"
    )
    assert not (here / "cache").exists()
    first = python(BY_NAME, "first.npy")
    assert (first.returncode, first.stderr) == (0, "")
    again = python(without, "again.npy")
    assert (again.returncode, again.stderr) == (0, "")
    row = weights.find(NAME)
    file = ModelFile(weights.published_network(NAME), published_tensors(row))
    x = np.linspace(-1, 1, 3 * 224 * 224, dtype=np.float32).reshape(1, 3, 224, 224)
    expected = Engine(file)(x)
    np.testing.assert_array_equal(np.load("first.npy"), expected)
    np.testing.assert_array_equal(np.load("again.npy"), expected)


def test_an_engine_fetches_nothing_unasked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", (here / "mirror").as_uri())
    with pytest.raises(WeightsError, match="squeezenet1_1 are not on this machine; download=True"):
        Engine("squeezenet1_1")
    with pytest.raises(WeightsError, match="mirror"):
        Engine("squeezenet1_1", download=True)


def test_an_engine_of_a_file_waits_for_no_family_and_no_table_of_weights(here: Path) -> None:
    code = (
        "import sys, smidgen; smidgen.Engine('./resnet20'); "
        "print(*(name for name in sys.modules if name.startswith(('smidgen.families', 'smidgen.weights'))))"
    )
    done = python(code)
    assert (done.stdout.split(), done.stderr) == (["smidgen.weights", "smidgen.weights.opening"], "")
